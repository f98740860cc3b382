"""How an OAuth client proves itself at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2): one way per request."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from authlib.oauth2.rfc7523.assertion import (  # type: ignore[import-untyped]
    client_secret_jwt_sign,
    private_key_jwt_sign,
    sign_jwt_bearer_assertion,
)
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from auth.errors import UnbuildableRequest
from auth.filling import fill
from definitions.auth.oauth2 import ClientAuth, JwtBearer, OAuth2Auth
from net.redaction import LIVE_SECRETS

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME = 300
"""Seconds; servers refuse assertions that live much longer."""

SHORTEST_SIGNING_SECRET = 14
"""Bytes: the 112 bits of NIST SP 800-131A, below which joserfc warns."""


@dataclass(frozen=True, slots=True, repr=False)
class Proof:
    """What goes into the request's parameters and headers."""

    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def prove_client(method: ClientAuth, texts: Mapping[str, str], audience: str) -> Proof:
    """The proof by this method, from the secrets in `texts`; signed ones are new each time, as their `jti` must be.

    Raises:
        UnbuildableRequest: a secret is missing, or is no key.
    """
    client_id = needed(texts, "client_id")
    match method:
        case ClientAuth.NONE:
            return Proof({"client_id": client_id})
        case ClientAuth.BODY:
            return Proof({"client_id": client_id, "client_secret": needed(texts, "client_secret")})
        case ClientAuth.BASIC:
            return Proof(headers=_basic(client_id, needed(texts, "client_secret")))
        case ClientAuth.SECRET_AS_USERNAME:
            return Proof(headers=_basic(needed(texts, "client_secret"), ""))
        case ClientAuth.CLIENT_SECRET_JWT:
            return _assertion(client_id, _by_secret(client_id, needed(texts, "client_secret"), audience))
        case ClientAuth.PRIVATE_KEY_JWT:
            return _assertion(client_id, _by_private_key(client_id, needed(texts, "private_key"), audience))


def sign_grant(auth: OAuth2Auth, texts: Mapping[str, str], token_url: str) -> str:
    """The assertion of RFC 7523 §2.1, as `auth.jwt` describes it, signed with the secret `private_key`.

    Raises:
        UnbuildableRequest: the key is missing, or does not fit the algorithm.
    """
    jwt = auth.jwt
    assert jwt is not None, "the grant jwt_bearer has it, which was checked when it was loaded"
    try:
        assertion = str(
            sign_jwt_bearer_assertion(
                _grant_key(jwt, needed(texts, "private_key")),
                fill(jwt.issuer, texts),
                _filled(jwt.audience, texts) or token_url,
                subject=_filled(jwt.subject, texts),
                claims={name: fill(text, texts) for name, text in jwt.claims.items()},
                header={"alg": jwt.algorithm} | ({"kid": _filled(jwt.key_id, texts)} if jwt.key_id else {}),
                expires_in=int(jwt.lifetime.total_seconds()),
            )
        )
    except (JoseError, TypeError, ValueError) as error:
        if isinstance(error, UnbuildableRequest):
            raise
        raise UnbuildableRequest(f"secret 'private_key' cannot sign with {jwt.algorithm}") from None
    LIVE_SECRETS.add(assertion)
    return assertion


def _filled(template: str | None, texts: Mapping[str, str]) -> str | None:
    return fill(template, texts) if template else None


def _grant_key(jwt: JwtBearer, text: str) -> OctKey | RSAKey | ECKey:
    if jwt.algorithm != "HS256":
        return _private_key(text)[0]
    if len(text.encode()) < SHORTEST_SIGNING_SECRET:
        raise UnbuildableRequest(f"secret 'private_key' is too short to sign with: {SHORTEST_SIGNING_SECRET} bytes")
    return OctKey.import_key(text)


def needed(texts: Mapping[str, str], name: str) -> str:
    """The value of a name that cannot be done without.

    Raises:
        UnbuildableRequest: it is not there.
    """
    if not texts.get(name):
        raise UnbuildableRequest(f"secret {name!r} is not set")
    return texts[name]


def _basic(user: str, password: str) -> dict[str, str]:
    """RFC 6749 §2.3.1: both parts are form-encoded first, so that `:` and characters outside ASCII survive."""
    pair = f"{quote_plus(user)}:{quote_plus(password)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _assertion(client_id: str, assertion: str) -> Proof:
    LIVE_SECRETS.add(assertion)  # whoever reads it where it is quoted could use it while it lives
    return Proof({"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion})


def _by_secret(client_id: str, secret: str, audience: str) -> str:
    if len(secret.encode()) < SHORTEST_SIGNING_SECRET:
        raise UnbuildableRequest(f"secret 'client_secret' is too short to sign with: {SHORTEST_SIGNING_SECRET} bytes")
    key = OctKey.import_key(secret)
    return str(client_secret_jwt_sign(key, client_id, audience, expires_in=ASSERTION_LIFETIME))


def _by_private_key(client_id: str, pem: str, audience: str) -> str:
    key, algorithm = _private_key(pem)
    try:
        return str(private_key_jwt_sign(key, client_id, audience, alg=algorithm, expires_in=ASSERTION_LIFETIME))
    except JoseError:
        raise UnbuildableRequest(f"secret 'private_key' cannot sign with {algorithm}") from None


_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def _private_key(pem: str) -> tuple[RSAKey | ECKey, str]:
    """The key and the algorithm that its kind signs with (RFC 7518 §3.1)."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnbuildableRequest("secret 'private_key' is no unencrypted private key in PEM") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAKey.import_key(pem), "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return ECKey.import_key(pem), _CURVES[key.curve.name]
    raise UnbuildableRequest("secret 'private_key' is neither an RSA nor an EC key (P-256, P-384, P-521)")

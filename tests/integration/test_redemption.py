"""Token requests as a server receives them, and answers that no server should give."""

import base64
import time
from typing import Any
from urllib.parse import unquote_plus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from auth.credential import OpenAccount
from auth.errors import CredentialError, Misconfigured, TokenUnavailable
from auth.refresh import TokenState
from auth.token_request import MAX_BYTES
from tests.fixtures.http import Answer, FaultServer, Received
from tests.fixtures.refreshing import CLIENT, Bench, client_credentials
from tests.fixtures.token_endpoint import TokenEndpoint, answer, params, token

SECRET = "planted:client/secret+with%signs"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def bench(sqlite_bench: Bench) -> Bench:
    """What is sent does not depend on the database."""
    return sqlite_bench


async def sent(bench: Bench, endpoint: TokenEndpoint, secrets: dict[str, str] | None = None, **stage: Any) -> Received:
    """The token request of an account with this token endpoint."""
    endpoint.answer(token("first"))
    opened = await bench.connect(client_credentials(endpoint.url, **stage), secrets or CLIENT)
    await bench.process().ensure(opened)
    (request,) = endpoint.requests
    return request


async def test_a_client_proves_itself_by_http_basic_with_both_parts_form_encoded(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    request = await sent(bench, endpoint, {"client_id": "client 1", "client_secret": SECRET})
    assert [unquote_plus(part) for part in basic(request)] == ["client 1", SECRET]
    assert params(request) == {"grant_type": "client_credentials"}


async def test_a_client_proves_itself_in_the_body(bench: Bench, endpoint: TokenEndpoint) -> None:
    request = await sent(bench, endpoint, {"client_id": "client-1", "client_secret": SECRET}, client_auth="body")
    assert params(request) == {
        "grant_type": "client_credentials",
        "client_id": "client-1",
        "client_secret": SECRET,
    }
    assert request.header("Authorization") is None


async def test_a_public_client_only_names_itself(bench: Bench, endpoint: TokenEndpoint) -> None:
    request = await sent(bench, endpoint, {"client_id": "client-1"}, client_auth="none")
    assert params(request) == {"grant_type": "client_credentials", "client_id": "client-1"}
    assert request.header("Authorization") is None


async def test_a_secret_may_be_the_user_name_of_http_basic(bench: Bench, endpoint: TokenEndpoint) -> None:
    request = await sent(bench, endpoint, client_auth="secret_as_username")
    assert basic(request) == ["planted-client-secret", ""]


async def test_a_client_proves_itself_by_an_assertion_signed_with_its_secret(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    request = await sent(bench, endpoint, client_auth="client_secret_jwt")
    check_assertion(request, OctKey.import_key(CLIENT["client_secret"]), "HS256", audience=endpoint.url)
    assert CLIENT["client_secret"] not in request.body.decode()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_client_proves_itself_by_an_assertion_signed_with_its_private_key(
    bench: Bench, endpoint: TokenEndpoint, algorithm: str
) -> None:
    key = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    request = await sent(
        bench,
        endpoint,
        {"client_id": "client-1", "private_key": private},
        client_auth="private_key_jwt",
        audience="https://issuer.example.com",
    )
    imported = RSAKey.import_key(public) if algorithm == "RS256" else ECKey.import_key(public)
    check_assertion(request, imported, algorithm, audience="https://issuer.example.com")


@pytest.mark.parametrize("form", ["form", "json", "query"])
async def test_parameters_travel_in_the_format_of_the_definition(
    bench: Bench, endpoint: TokenEndpoint, form: str
) -> None:
    endpoint.answer(token("first"))
    auth = client_credentials(
        endpoint.url,
        {"scopes": ["read", "write"], "scope_separator": ","},
        format=form,
        client_auth="body",
        params={"audience": "https://{region}.example.com/?a=b&c", "resource": "ü"},
        headers={"X-Region": "{region}", "Accept": "application/vnd.example+json"},
    )
    await bench.process().ensure(await bench.connect(auth, CLIENT, parameters={"region": "eu"}))
    (request,) = endpoint.requests
    assert params(request) == {
        "grant_type": "client_credentials",
        "scope": "read,write",
        "audience": "https://eu.example.com/?a=b&c",
        "resource": "ü",
        **CLIENT,
    }
    assert request.header("X-Region") == "eu"
    assert [value for name, value in request.headers if name.lower() == "accept"] == ["application/vnd.example+json"]
    assert (request.method, bool(request.body), bool(request.query)) == ("POST", form != "query", form == "query")


async def test_a_get_carries_its_parameters_behind_the_endpoint_s_own(bench: Bench, token_server: FaultServer) -> None:
    endpoint = TokenEndpoint(token_server)
    endpoint.answer(token("first"))
    auth = client_credentials(f"{endpoint.url}?tenant=acme", verb="GET", client_auth="body")
    await bench.process().ensure(await bench.connect(auth))
    (request,) = endpoint.requests
    assert (request.method, request.body, request.query[0]) == ("GET", b"", ("tenant", "acme"))
    assert dict(request.query[1:]) == {"grant_type": "client_credentials", **CLIENT}


async def test_token_lifetime_scope_and_more_are_read_where_the_definition_says(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(answer(200, {"data": {"auth": {"key": "t", "ms": 60_000, "scopes": ["a"]}}, "host": "eu1"}))
    paths = {"token": "data.auth.key", "expires_in": "data.auth.ms", "expires_unit": "ms", "scope": "data.auth.scopes"}
    auth = client_credentials(endpoint.url, {"response": paths, "capture": {"token_reply": {"instance": "host"}}})
    opened = await bench.connect(auth)
    state = await bench.process().ensure(opened)
    assert (state.token, state.captured, (await bench.stored(opened)).scope) == ("t", {"instance": "eu1"}, "a")
    assert remaining(state) == pytest.approx(60, abs=10)


async def test_a_lifetime_may_be_an_instant(bench: Bench, endpoint: TokenEndpoint) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 900))
    endpoint.answer(token("t", expires_in=at))
    opened = await bench.connect(client_credentials(endpoint.url, {"response": {"expires_unit": "instant"}}))
    assert remaining(await bench.process().ensure(opened)) == pytest.approx(900, abs=15)


async def test_a_token_lives_as_the_definition_says_when_its_reply_does_not(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("t", expires_in=None))
    opened = await bench.connect(client_credentials(endpoint.url, {"lifetime": "30m"}))
    assert remaining(await bench.process().ensure(opened)) == pytest.approx(1800, abs=15)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_with_the_secret(
    bench: Bench, endpoint: TokenEndpoint, other_http_server: FaultServer, status: int
) -> None:
    other_http_server.reply("/token", body=b'{"access_token": "stolen"}')
    endpoint.answer(Answer(status, b"", [("Location", f"{other_http_server.url}/token")]))
    with pytest.raises(Misconfigured, match=f"status_{status}") as caught:
        await bench.process().ensure(await bench.connect(client_credentials(endpoint.url)))
    assert "apply" in caught.value.action
    assert other_http_server.received == []


async def test_an_answer_larger_than_any_token_is_not_read_to_its_end(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(Answer(200, b'{"access_token": "%s"}' % (b"x" * MAX_BYTES)))
    with pytest.raises(TokenUnavailable, match="response_too_large"):
        await bench.process().ensure(await bench.connect(client_credentials(endpoint.url)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe\x00",
        b"[" * 20_000,
        b'{"access_token": null}',
        b'{"access_token": {"a": 1}}',
        b'{"access_token": ""}',
    ],
)
async def test_garbage_is_never_taken_for_a_token(bench: Bench, endpoint: TokenEndpoint, body: bytes) -> None:
    endpoint.answer(Answer(200, body, [("Content-Type", "application/json")]))
    opened = await bench.connect(client_credentials(endpoint.url))
    with pytest.raises(TokenUnavailable):
        await bench.process().ensure(opened)
    assert await bench.record(opened) is None


async def test_a_forbidden_endpoint_is_told_with_what_would_allow_it(bench: Bench) -> None:
    opened = await bench.connect(client_credentials("http://10.9.8.7:8080/token"))
    with pytest.raises(Misconfigured, match="account 'main'") as caught:
        await bench.process().ensure(opened)
    assert "TIELINE_EGRESS_ALLOW" in caught.value.action


async def test_a_definition_that_makes_no_request_is_told_before_anything_is_claimed(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    opened = await bench.connect(client_credentials(endpoint.url, client_auth="client_secret_jwt"))
    short = await with_secret(bench, "short")
    with pytest.raises(CredentialError, match="too short to sign with"):
        await bench.process().ensure(short)
    assert (await bench.row(opened)).fence == 0
    assert endpoint.requests == []


async def with_secret(bench: Bench, secret: str) -> OpenAccount:
    await bench.accounts.set_secrets("main", {"client_secret": secret})
    return await bench.open()


def basic(request: Received) -> list[str]:
    """User name and password of HTTP Basic."""
    scheme, _, pair = (request.header("Authorization") or "").partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(pair).decode().split(":", 1)


def check_assertion(request: Received, key: Any, algorithm: str, audience: str) -> None:
    """RFC 7523 §3."""
    given = params(request)
    assert (given["client_assertion_type"], given["client_id"]) == (ASSERTION, "client-1")
    claims = jwt.decode(given["client_assertion"], key, algorithms=[algorithm]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("client-1", "client-1", audience)
    assert claims["jti"]
    assert 0 < claims["exp"] - time.time() <= 300
    assert "client_secret" not in given


def remaining(state: TokenState) -> float:
    """Seconds."""
    assert state.expires_at is not None
    return state.expires_at - state.now

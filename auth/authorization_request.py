"""The address at the provider where a person consents (RFC 6749 §4.1.1, RFC 7636)."""

from urllib.parse import parse_qsl, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from auth.client_authentication import needed
from auth.credential import OpenAccount
from auth.errors import UnbuildableRequest
from auth.oauth2_sources import scope_param
from auth.public_url import is_loopback
from auth.token_request import endpoint_url, render_all
from definitions.auth import OAuth2Auth


def authorization_url(opened: OpenAccount, redirect_uri: str, state: str, verifier: str | None) -> str:
    """Where to send the browser.

    Raises:
        UnbuildableRequest, TemplateError, UrlError: the definition or a secret makes no request.
    """
    auth, texts = opened.integration.auth, opened.texts()
    if not isinstance(auth, OAuth2Auth) or auth.authorize is None:
        raise UnbuildableRequest("auth.authorize.endpoint is missing, and was not discovered from auth.issuer")
    stage = auth.authorize
    proof = (
        {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"} if verifier else {}
    )
    query = prepare_grant_uri(
        "",
        needed(texts, "client_id"),
        "code",
        redirect_uri=redirect_uri,
        state=state,
        **scope_param(auth, opened),
        **proof,
    )
    params: dict[str, str] = dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True))
    params |= render_all(stage.params, texts)
    url = endpoint_url(stage.endpoint, texts, {stage.rename.get(name, name): value for name, value in params.items()})
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise UnbuildableRequest("auth.authorize.endpoint must begin with https://")
    return url

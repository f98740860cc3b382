"""OAuth 2.0 definitions whose parts contradict one another are refused; the others load."""

from typing import Any

import pytest
import yaml

from definitions.auth import OAuth2Auth
from definitions.integration import Integration
from definitions.loading import load_text
from definitions.problems import DefinitionErrors

TOKEN = {"endpoint": "https://login.example/token"}
AUTHORIZE = {"endpoint": "https://login.example/authorize"}
JWT = {"issuer": "{client_id}", "audience": "https://login.example/"}


def load(**auth: Any) -> OAuth2Auth:
    document = {
        "kind": "integration",
        "key": "crm",
        "name": "CRM",
        "base_url": "https://crm.example",
        "auth": {"type": "oauth2", **auth},
    }
    [found] = load_text(yaml.safe_dump(document), "crm.yaml")
    assert isinstance(found.model, Integration)
    assert isinstance(found.model.auth, OAuth2Auth)
    return found.model.auth


def refusal(**auth: Any) -> str:
    with pytest.raises(DefinitionErrors) as caught:
        load(**auth)
    [problem] = caught.value.problems
    return f"{problem.place}: {problem.message}"


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({"grant": "client_credentials"}, "auth: token.endpoint is missing: every grant needs it, or an issuer"),
        (
            {"grant": "authorization_code", "token": TOKEN},
            "auth: authorize.endpoint is missing: the grant authorization",
        ),
        ({"grant": "jwt_bearer", "token": TOKEN}, "auth: jwt goes with the grant jwt_bearer, and with no other"),
        ({"grant": "client_credentials", "token": TOKEN, "jwt": JWT}, "auth: jwt goes with the grant jwt_bearer"),
        (
            {"grant": "client_credentials", "token": TOKEN, "capture": {"callback": {"realm": "realmId"}}},
            "auth: capture.callback and after_connect go with the grant authorization_code only",
        ),
        (
            {"grant": "client_credentials", "token": TOKEN, "after_connect": {"path": "me", "capture": {"x": "y"}}},
            "auth: capture.callback and after_connect go with the grant authorization_code only",
        ),
        ({"grant": "password", "token": TOKEN}, "auth.grant: expected 'authorization_code', 'client_credentials' or"),
        (
            {"grant": "client_credentials", "token": {**TOKEN, "client_auth": "header"}},
            "auth.token.client_auth: expected 'body', 'basic', 'none', 'secret_as_username', 'client_secret_jwt' or",
        ),
        (
            {"grant": "client_credentials", "token": {**TOKEN, "audience": "x"}},
            "auth.token.audience: nothing reads it: it belongs to client_auth client_secret_jwt or private_key_jwt",
        ),
        (
            {"grant": "client_credentials", "token": {**TOKEN, "params": {"grant_type": "x"}}},
            "auth.token.params.grant_type: is set by the grant and may not be set here",
        ),
        (
            {"grant": "authorization_code", "token": TOKEN, "authorize": {**AUTHORIZE, "params": {"state": "x"}}},
            "auth.authorize.params.state: is set by the grant and may not be set here",
        ),
        (
            {
                "grant": "authorization_code",
                "token": TOKEN,
                "authorize": {**AUTHORIZE, "params": {"response_type": "token"}},
            },
            "auth.authorize.params.response_type: is set by the grant and may not be set here",
        ),
        (
            {
                "grant": "authorization_code",
                "token": {**TOKEN, "params": {"redirect_uri": "x"}},
                "authorize": AUTHORIZE,
            },
            "auth.token.params.redirect_uri: is set by the grant and may not be set here",
        ),
        (
            {"grant": "jwt_bearer", "jwt": JWT, "token": {**TOKEN, "params": {"assertion": "x"}}},
            "auth.token.params.assertion: is set by the grant and may not be set here",
        ),
        (
            {
                "grant": "authorization_code",
                "token": TOKEN,
                "authorize": {**AUTHORIZE, "rename": {"state": "st"}, "params": {"st": "x"}},
            },
            "auth.authorize.rename.state: the parameter st is sent as st already",
        ),
        (
            {
                "grant": "authorization_code",
                "token": TOKEN,
                "authorize": {**AUTHORIZE, "rename": {"prompt": "state"}, "params": {"prompt": "x"}},
            },
            "auth.authorize.rename.prompt: the parameter state is sent as state already",
        ),
        (
            {"grant": "authorization_code", "token": TOKEN, "authorize": {**AUTHORIZE, "rename": {"scope": "state"}}},
            "auth.authorize.rename.scope: the parameter state is sent as state already",
        ),
        (
            {
                "grant": "authorization_code",
                "token": TOKEN,
                "authorize": {"endpoint": "https://login.example/a?state=x"},
            },
            "auth.authorize.endpoint: state is set by the grant and may not stand in the address",
        ),
        (
            {"grant": "client_credentials", "token": TOKEN, "refresh": {"params": {"grant_type": "refresh_token"}}},
            "auth.refresh.params.grant_type: is set by the grant and may not be set here",
        ),
        (
            {"grant": "client_credentials", "token": {**TOKEN, "params": {"a": "{client_idd}"}}},
            "auth.token.params.a: unknown placeholder {client_idd}",
        ),
        (
            {"grant": "client_credentials", "token": {**TOKEN, "headers": {"a": "{x}"}}},
            "auth.token.headers.a: unknown placeholder {x}",
        ),
        (
            {"grant": "client_credentials", "token": {**TOKEN, "client_auth": "private_key_jwt", "audience": "{x}"}},
            "auth.token.audience: unknown placeholder {x}",
        ),
        (
            {"grant": "authorization_code", "token": TOKEN, "authorize": {**AUTHORIZE, "params": {"a": "{x}"}}},
            "auth.authorize.params.a: unknown placeholder {x}",
        ),
        (
            {"grant": "client_credentials", "token": TOKEN, "refresh": {"endpoint": "https://x.example/{y}"}},
            "auth.refresh.endpoint: unknown placeholder {y}",
        ),
        (
            {"grant": "client_credentials", "token": TOKEN, "revoke": {"endpoint": "/revoke"}},
            "auth.revoke.endpoint: expected an address that begins with https:// or http:// and the name of a host",
        ),
        ({"grant": "client_credentials", "token": TOKEN, "scopes": ["{x}"]}, "auth.scopes[0]: unknown placeholder {x}"),
        ({"grant": "client_credentials", "issuer": "login.example"}, "auth.issuer: expected an address that begins"),
        (
            {"grant": "client_credentials", "issuer": "https://{client_id}.x"},
            "auth.issuer: {client_id} is a secret, and",
        ),
        ({"grant": "jwt_bearer", "token": TOKEN, "jwt": {**JWT, "subject": "{x}"}}, "auth.jwt.subject: unknown placeh"),
        (
            {"grant": "jwt_bearer", "token": TOKEN, "jwt": {**JWT, "claims": {"a": "{x}"}}},
            "auth.jwt.claims.a: unknown placeholder {x}",
        ),
        (
            {"grant": "client_credentials", "token": TOKEN, "response": {"token": "a.["}},
            "auth.response.token: not a JMESPath expression: fault at character 4",
        ),
        (
            {"grant": "client_credentials", "token": TOKEN, "response": {"token": "(" * 2000}},
            "auth.response.token: not a JMESPath expression: it is nested too deeply",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(auth: dict[str, Any], message: str) -> None:
    assert refusal(**auth).startswith(message)


@pytest.mark.parametrize(
    "auth",
    [
        {"grant": "client_credentials", "issuer": "https://login.example"},
        {"grant": "authorization_code", "issuer": "https://login.example"},
        {"grant": "authorization_code", "token": TOKEN, "authorize": {**AUTHORIZE, "pkce": False}},
        {"grant": "jwt_bearer", "token": TOKEN, "jwt": JWT},
        {
            "grant": "authorization_code",
            "token": {**TOKEN, "client_auth": "none", "params": {"resource": "{realm}"}},
            "authorize": {**AUTHORIZE, "rename": {"client_id": "app_id"}, "params": {"prompt": "consent"}},
            "capture": {"callback": {"realm": "realmId"}, "token_reply": {"site": "site.id"}},
            "after_connect": {"path": "me", "capture": {"user": "id"}},
            "revoke": {"endpoint": "https://login.example/revoke"},
        },
        {
            "grant": "authorization_code",
            "token": TOKEN,
            "authorize": {
                "endpoint": "https://login.example/authorize?tenant=7",
                "rename": {"state": "st", "scope": "user_scope"},
            },
        },
        {
            "grant": "client_credentials",
            "token": {**TOKEN, "params": {"redirect_uri": "x", "client_id": "{client_id}"}},
        },
    ],
)
def test_what_fits_together_loads(auth: dict[str, Any]) -> None:
    assert load(**auth).grant == auth["grant"]


def test_every_knob_has_a_default() -> None:
    auth = load(grant="client_credentials", token=TOKEN)

    assert auth.token is not None
    assert (auth.token.verb, auth.token.client_auth, auth.token.format) == ("POST", "basic", "form")
    assert (auth.scopes, auth.scope_separator, auth.lifetime) == ((), " ", None)
    assert (auth.response.token, auth.response.refresh_token, auth.response.expires_in) == (
        "access_token",
        "refresh_token",
        "expires_in",
    )
    assert [(item.in_, item.name, item.value) for item in auth.place] == [("header", "Authorization", "Bearer {token}")]
    assert auth.renews


@pytest.mark.parametrize(
    ("client_auth", "required", "optional"),
    [
        ("body", {"client_id"}, {"client_secret"}),
        ("basic", {"client_id"}, {"client_secret"}),
        ("secret_as_username", {"client_id"}, {"client_secret"}),
        ("client_secret_jwt", {"client_id"}, {"client_secret"}),
        ("private_key_jwt", {"client_id", "private_key"}, set()),
        ("none", {"client_id"}, set()),
    ],
)
def test_an_account_is_asked_for_what_the_client_proves_itself_with(
    client_auth: str, required: set[str], optional: set[str]
) -> None:
    fields = load(
        grant="authorization_code", token={**TOKEN, "client_auth": client_auth}, authorize=AUTHORIZE
    ).secret_fields()

    assert {name for name, field in fields.items() if not field.optional} == required
    assert {name for name, field in fields.items() if field.optional} == optional


def test_client_credentials_cannot_do_without_the_secret() -> None:
    fields = load(grant="client_credentials", token=TOKEN).secret_fields()

    assert {name for name, field in fields.items() if not field.optional} == {"client_id", "client_secret"}
    assert [name for name, field in fields.items() if field.identifier] == ["client_id"]

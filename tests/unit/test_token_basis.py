"""What a token was asked for with, as a digest that stays the same from version to version of Tieline."""

from typing import Any

import pytest

from auth.credential import OpenAccount
from auth.secret import Secret
from auth.token_sources import basis
from definitions.integration import Integration
from storage.accounts import Account
from tests.fixtures.refreshing import CLIENT, LOGIN, client_credentials, login, login_and_refresh

URL = "https://provider.example/token"
ASSERTION = {"grant": "jwt_bearer", "jwt": {"issuer": "{client_id}", "audience": URL}}
SIGNING = {**CLIENT, "private_key": "pem"}
KNOBS: dict[str, Any] = {
    "scopes": ["read", "write"],
    "lifetime": "30m",
    "response": {"token": "data.token", "expires_unit": "ms"},
    "capture": {"token_reply": {"team": "team.id"}},
    "refresh": {"params": {"again": "yes"}},
    "revoke": {"endpoint": "https://provider.example/revoke"},
}


def opened(auth: dict[str, Any], secrets: dict[str, str]) -> OpenAccount:
    document = {"kind": "integration", "key": "x", "name": "x", "base_url": "https://api.example.com", "auth": auth}
    account = Account("id", "main", "x", {}, "active", None, 1, 0.0, 0.0)
    return OpenAccount(
        account, Integration.model_validate(document), {}, {name: Secret(text) for name, text in secrets.items()}
    )


@pytest.mark.parametrize(
    ("auth", "secrets", "digest"),
    [
        pytest.param(client_credentials(URL), CLIENT, "7d251609f38b6d16", id="client-credentials"),
        pytest.param(client_credentials(URL, KNOBS, client_auth="body"), CLIENT, "1167829efe25af49", id="with-knobs"),
        pytest.param(client_credentials(URL, ASSERTION), SIGNING, "f38130fdfc2048ec", id="jwt-bearer"),
        pytest.param(login(URL), LOGIN, "53e5397fbfc3db32", id="custom-token"),
        pytest.param(login_and_refresh(URL, URL), LOGIN, "921b73f7313040cb", id="custom-token-with-refresh"),
    ],
)
def test_digests_are_those_of_the_versions_before(auth: dict[str, Any], secrets: dict[str, str], digest: str) -> None:
    """If this fails, every token of such accounts is asked for anew, by old and new processes in turn."""
    assert basis(opened(auth, secrets))[:16] == digest


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"place": [{"in": "cookie", "name": "t", "value": "{token}"}]}, id="place"),
        pytest.param({"keep_alive": "3d"}, id="keep-alive"),
        pytest.param({"identity": "team", "capture": KNOBS["capture"]}, id="identity"),
    ],
)
def test_what_no_token_is_asked_for_with_changes_nothing(more: dict[str, Any]) -> None:
    plain = {"capture": more["capture"]} if "capture" in more else {}
    expected = basis(opened(client_credentials(URL, plain), CLIENT))
    assert basis(opened(client_credentials(URL, more), CLIENT)) == expected


def test_another_secret_is_another_basis() -> None:
    auth = client_credentials(URL)
    assert basis(opened(auth, CLIENT)) != basis(opened(auth, {**CLIENT, "client_secret": "another-secret"}))

"""What filters make of a secret is a secret too, wherever it is sent."""

import hashlib
import uuid
from collections.abc import Callable

import pytest

from activities.request import build_request
from auth.client_authentication import prove_client
from auth.credential import Credential
from auth.filling import fill
from auth.placement import Draft, place
from auth.secret import Secret
from auth.token_request import endpoint_url, render_all
from definitions.auth.oauth2 import ClientAuth
from definitions.integration import Integration
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call
from net.redaction import LIVE_SECRETS, MASK


@pytest.fixture
def secret() -> str:
    """One that this process handles."""
    value = f"Planted-{uuid.uuid4().hex}"
    LIVE_SECRETS.add(value)
    return value


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "template",
    [
        "{token|sha256}",
        "{token|lower}",
        "{token|base64|lower}",
        "{user|hmac_sha256(token)}",
        "{now|hmac_sha256(token)}",
    ],
)
def test_what_comes_of_a_secret_is_masked(secret: str, template: str) -> None:
    filled = fill(f"v1 {template}", {"token": secret, "user": "ann"})
    assert LIVE_SECRETS.scrub(f"what is {filled}?") == f"what is v1 {MASK}?"


@pytest.mark.parametrize("template", ["{user|sha256}", '{none|default("plain-words")}', "{user}", "plain-words"])
def test_what_comes_of_no_secret_is_not_masked(secret: str, template: str) -> None:
    filled = fill(template, {"token": secret, "user": "plain-ann"})
    assert LIVE_SECRETS.scrub(filled) == filled


def integration() -> Integration:
    return Integration.model_validate(
        {
            "kind": "integration",
            "key": "crm",
            "name": "CRM",
            "base_url": "https://api.example.com",
            "auth": {"type": "api_token", "place": [{"in": "header", "name": "X-Key", "value": "{token|sha256}"}]},
            "send": {"headers": {"X-Sign": "{token|sha256}"}, "query": {"sign": "{token|lower}"}},
        }
    )


def placed(secret: str) -> str:
    place(Credential("id", "main", integration(), values={"token": Secret(secret)}), Draft("https://api.example.com/"))
    return digest(secret)


def sent_with_every_call(secret: str) -> str:
    credential = Credential("id", "main", integration(), values={"token": Secret(secret)})
    operation = HttpOperation(method="GET", path="leads")
    ref = CredentialRef(adapter="crm", profile="dev")
    build_request(
        Call(operation=operation, credential=ref, delivery=Delivery.SAFE, idempotency_key="k" * 32), credential
    )
    return secret.lower()


def in_a_token_request(secret: str) -> str:
    render_all({"X-Login": "{password|sha256}"}, {"password": secret})
    return digest(secret)


def in_a_token_endpoint(secret: str) -> str:
    endpoint_url("https://login.example.com/?sign={password|sha256}", {"password": secret}, {})
    return digest(secret)


def signed(secret: str) -> str:
    texts = {"client_id": "client-1", "client_secret": secret}
    return prove_client(ClientAuth.CLIENT_SECRET_JWT, texts, "https://login.example.com").params["client_assertion"]


@pytest.mark.parametrize("use", [placed, sent_with_every_call, in_a_token_request, in_a_token_endpoint, signed])
def test_wherever_it_is_sent_what_a_provider_echoes_is_masked(secret: str, use: Callable[[str], str]) -> None:
    assert LIVE_SECRETS.scrub(use(secret)) == MASK

"""Whatever a token endpoint quotes, no secret is shown, logged or stored in clear; every error says what to do."""

import logging
import traceback
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from auth.errors import CredentialError
from net.redaction import quiet_transports
from tests.fixtures.http import Answer
from tests.fixtures.refreshing import Bench, client_credentials, login, login_and_refresh
from tests.fixtures.token_endpoint import Reaction, TokenEndpoint, answer, cut, half, refusal, token

SECRET = "planted/client+secret=1"
PASSWORD = 'planted-"pass" word'
REFRESH_TOKEN = "planted.refresh~token"
SESSION = "planted-session-4711"
ACCESS_TOKEN = "planted-access-token"
PLANTED = (SECRET, PASSWORD, REFRESH_TOKEN, SESSION, ACCESS_TOKEN)

CLIENT = {"client_id": "client-1", "client_secret": SECRET}
LOGIN = {"username": "ann", "password": PASSWORD}


@pytest.fixture
def bench(sqlite_bench: Bench) -> Bench:
    """Its file can be searched; transports are as quiet as every process of ours makes them."""
    quiet_transports()
    return sqlite_bench


def quoting(text: str, status: int = 400) -> list[Reaction]:
    """Refusals that quote this text wherever a refusal can."""
    return [
        refusal(status, "invalid_request", error_description=f"what is {text}?"),
        refusal(status, f"cannot use {text}"),
        refusal(status, {"message": f"{text} is refused"}),
        refusal(status, "x", message="." * (300 - 8) + text),
        Answer(status, f"<html>{text}</html>".encode()),
    ]


async def failure(bench: Bench, name: str = "main") -> str:
    """Everything that can be seen of the error that an account's caller gets."""
    with pytest.raises(CredentialError) as caught:
        await bench.resolver().resolve_account(name)
    error = caught.value
    assert error.__traceback__ is not None
    assert error.account == name
    assert f"account {name!r}" in str(error)
    assert len(error.action) > 10
    shown = traceback.TracebackException(type(error), error, error.__traceback__.tb_next, capture_locals=True)
    return "\n".join([str(error), repr(error), repr(vars(error)), error.action, *shown.format()])


def forms(secret: str) -> list[str]:
    return [secret, quote(secret, safe=""), b64encode(secret.encode()).decode(), secret.replace('"', '\\"')]


def check(bench: Bench, seen: str, caplog: pytest.LogCaptureFixture) -> None:
    """No secret in what was seen, in the logs, or in the database's files."""
    folder = Path(bench.database.engine.url.database or "").parent
    clear = b"".join(path.read_bytes() for path in folder.glob("tieline.db*"))
    for secret in (form for planted in PLANTED for form in forms(planted)):
        assert secret not in seen
        assert secret not in caplog.text
        assert secret.encode() not in clear


@pytest.mark.parametrize(
    "reaction",
    [
        *quoting(SECRET),
        *quoting(quote(SECRET, safe="")),
        *quoting(b64encode(f"client-1:{SECRET}".encode()).decode(), status=401),
        refusal(401, "invalid_client", error_description=SECRET),
        refusal(200, "invalid_grant", error_description=SECRET),
        answer(302, {"error": SECRET}, [("Location", f"https://elsewhere.example.com/{SECRET}")]),
        answer(429, {"message": SECRET}, [("Retry-After", "1")]),
        cut,
        half,
    ],
)
async def test_a_client_s_secret_is_never_shown(
    bench: Bench, endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture, reaction: Reaction
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.answer(reaction)
    await bench.connect(client_credentials(endpoint.url, client_auth="body"), CLIENT)
    check(bench, await failure(bench), caplog)


@pytest.mark.parametrize("reaction", [*quoting(REFRESH_TOKEN), *quoting(PASSWORD), *quoting(ACCESS_TOKEN)])
async def test_what_a_refresh_sends_is_never_shown(
    bench: Bench,
    endpoint: TokenEndpoint,
    refresh_endpoint: TokenEndpoint,
    caplog: pytest.LogCaptureFixture,
    reaction: Reaction,
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.answer(token(ACCESS_TOKEN, refresh_token=REFRESH_TOKEN), reaction)
    refresh_endpoint.answer(reaction)
    auth = login_and_refresh(endpoint.url, refresh_endpoint.url)
    auth["refresh"]["headers"] = {"Authorization": "Bearer {token}"}
    opened = await bench.connect(auth, LOGIN)
    await bench.process().ensure(opened)
    await bench.expire(opened)
    check(bench, await failure(bench), caplog)


@pytest.mark.parametrize("reaction", quoting(SESSION))
async def test_a_session_on_the_way_to_a_token_is_never_shown(
    bench: Bench,
    endpoint: TokenEndpoint,
    refresh_endpoint: TokenEndpoint,
    caplog: pytest.LogCaptureFixture,
    reaction: Reaction,
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.answer(answer(200, {"session": SESSION}))
    refresh_endpoint.answer(reaction)
    auth: dict[str, Any] = login(endpoint.url)
    exchange = {"endpoint": refresh_endpoint.url, "headers": {"X-Session": "{session}"}, "capture": {"token": "t"}}
    auth["requests"] = [{**auth["requests"][0], "capture": {"session": "session"}}, exchange]
    await bench.connect(auth, LOGIN)
    check(bench, await failure(bench), caplog)

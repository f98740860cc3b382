"""The strict server itself: what it lets through, what it refuses, and what it revokes."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
import pytest_asyncio
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from tests.fixtures.authorization_server import AUTHORIZE, METADATA, REVOKE, TOKEN, StrictServer
from tests.fixtures.http import NO_TLS

CALLBACK = "http://127.0.0.1:1/connect/callback"
VERIFIER = "v" * 43


class App:
    """A client that does everything right unless it is told otherwise."""

    def __init__(self, server: StrictServer, http: httpx2.AsyncClient) -> None:
        self._server = server
        self._http = http
        server.client.redirect_uris = (CALLBACK,)

    async def authorize(self, **changed: str) -> dict[str, str]:
        """What the browser is sent back with; empty when it is not sent back."""
        asked = {
            "response_type": "code",
            "client_id": "client-1",
            "redirect_uri": CALLBACK,
            "scope": "read",
            "state": "s-1",
            "code_challenge": create_s256_code_challenge(VERIFIER),
            "code_challenge_method": "S256",
            **changed,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        reply = await self._http.get(f"{self._server.url}{AUTHORIZE}?{query}")
        return dict(parse_qsl(urlsplit(reply.headers.get("Location", "")).query))

    async def ask(self, path: str = TOKEN, secret: str = "planted-client-secret", **form: str) -> httpx2.Response:
        return await self._http.post(self._server.url + path, data=form, auth=("client-1", secret))

    async def exchange(self, code: str, **changed: str) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.ask(**{**form, **changed})

    async def connect(self) -> dict[str, str]:
        token: dict[str, str] = (await self.exchange((await self.authorize())["code"])).json()
        return token

    async def refresh(self, refresh_token: str) -> httpx2.Response:
        return await self.ask(grant_type="refresh_token", refresh_token=refresh_token)


@pytest_asyncio.fixture
async def app(strict_server: StrictServer) -> AsyncIterator[App]:
    async with httpx2.AsyncClient(follow_redirects=False, verify=NO_TLS) as http:
        yield App(strict_server, http)


async def test_consent_brings_a_code_for_tokens_that_the_api_takes(app: App, strict_server: StrictServer) -> None:
    back = await app.authorize()
    token = (await app.exchange(back["code"])).json()
    assert (back["state"], back["iss"]) == ("s-1", strict_server.url)
    assert strict_server.memory.honours(token["access_token"])
    assert (token["scope"], token["expires_in"]) == ("read", 3600)


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": CALLBACK + "/"},
        {"client_id": "client-2"},
    ],
)
async def test_nobody_is_sent_to_an_address_that_is_not_registered(app: App, changed: dict[str, str]) -> None:
    assert await app.authorize(**changed) == {}


@pytest.mark.parametrize(
    "changed",
    [{"code_challenge": "", "code_challenge_method": ""}, {"code_challenge_method": "plain"}, {"code_challenge": ""}],
)
async def test_an_authorization_without_s256_is_refused(app: App, changed: dict[str, str]) -> None:
    assert (await app.authorize(**changed))["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 43},
        {"redirect_uri": CALLBACK + "?x=1"},
        {"code": "no-such-code"},
    ],
)
async def test_a_code_is_worth_nothing_with_another_verifier_or_address(app: App, changed: dict[str, str]) -> None:
    back = await app.authorize()
    reply = await app.exchange(**{"code": back["code"], **changed})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")


async def test_a_code_that_comes_twice_ends_what_it_brought(app: App, strict_server: StrictServer) -> None:
    back = await app.authorize()
    token = (await app.exchange(back["code"])).json()
    again = await app.exchange(back["code"])
    assert again.json()["error"] == "invalid_grant"
    assert not strict_server.memory.honours(token["access_token"])


async def test_a_refresh_token_that_comes_twice_ends_its_family(app: App, strict_server: StrictServer) -> None:
    first = await app.connect()
    second = (await app.refresh(first["refresh_token"])).json()
    again = await app.refresh(first["refresh_token"])
    after = await app.refresh(second["refresh_token"])
    assert again.json()["error"] == after.json()["error"] == "invalid_grant"
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (1, 1)
    assert not strict_server.memory.honours(second["access_token"])


async def test_within_the_grace_period_a_second_use_is_forgiven(app: App, strict_server: StrictServer) -> None:
    strict_server.memory.grace = 30
    first = await app.connect()
    await app.refresh(first["refresh_token"])
    again = await app.refresh(first["refresh_token"])
    assert again.status_code == 200
    assert strict_server.memory.honours(again.json()["access_token"])


async def test_a_revoked_refresh_token_takes_its_access_token_along(app: App, strict_server: StrictServer) -> None:
    token = await app.connect()
    reply = await app.ask(REVOKE, token=token["refresh_token"], token_type_hint="refresh_token")
    assert reply.status_code == 200
    assert not strict_server.memory.honours(token["access_token"])


async def test_a_wrong_client_secret_is_the_client_s_fault(app: App) -> None:
    reply = await app.ask(secret="wrong", grant_type="client_credentials")
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


async def test_a_denied_consent_brings_an_error_and_the_state(app: App, strict_server: StrictServer) -> None:
    strict_server.consent = "deny"
    back = await app.authorize()
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", "s-1", strict_server.url)


async def test_the_metadata_name_the_issuer_that_was_asked(app: App, strict_server: StrictServer) -> None:
    async with httpx2.AsyncClient() as http:
        told = (await http.get(strict_server.url + METADATA)).json()
    assert (told["issuer"], told["token_endpoint"]) == (strict_server.url, strict_server.url + TOKEN)

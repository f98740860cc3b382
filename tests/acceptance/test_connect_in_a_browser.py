"""A person connects an account in Chromium: there and back between two origins, with a consent and with a refusal."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest_asyncio

from auth.connect import CALLBACK_PATH
from gateway.loopback import serving_connect
from storage.accounts import NOT_CONNECTED
from tests.fixtures.chromium import Chromium
from tests.fixtures.consented import Connecting


@pytest_asyncio.fixture
async def pages(sqlite_connecting: Connecting) -> AsyncIterator[str]:
    """The base URL of the connect pages. `localhost`: another site than the provider's 127.0.0.1, as in real life."""
    async with serving_connect(sqlite_connecting.connector, 0) as base:
        base = base.replace("127.0.0.1", "localhost")
        sqlite_connecting.server.client.redirect_uris = (base + CALLBACK_PATH,)
        sqlite_connecting.server.consent = "ask"
        await sqlite_connecting.create()
        yield base


async def link(connecting: Connecting, pages: str) -> str:
    return (await connecting.connector.invite("main", pages)).link


async def test_a_person_who_consents_reads_that_the_account_is_connected_and_the_code_is_gone_from_the_address(
    chromium: Chromium, sqlite_connecting: Connecting, pages: str
) -> None:
    await chromium.go(await link(sqlite_connecting, pages))
    asked_at = await chromium.address()
    await chromium.click("#allow")
    landed = await chromium.address()
    credential = await sqlite_connecting.bench.resolver().resolve_account("main")
    assert asked_at.startswith(sqlite_connecting.server.url)
    assert "account main: connected" in await chromium.text()
    assert (landed.startswith(f"{pages}/connect/done/"), urlsplit(landed).query) == (True, "")
    assert await chromium.script("return document.cookie") == ""
    assert sqlite_connecting.server.memory.honours(credential.values["token"].reveal())


async def test_a_person_who_refuses_reads_that_nothing_changed(
    chromium: Chromium, sqlite_connecting: Connecting, pages: str
) -> None:
    await chromium.go(await link(sqlite_connecting, pages))
    await chromium.click("#deny")
    assert "the consent was refused at the provider; the account is as it was" in await chromium.text()
    assert (await sqlite_connecting.bench.accounts.get("main")).state == NOT_CONNECTED
    assert sqlite_connecting.server.token_requests == []


async def test_an_answer_that_is_loaded_again_connects_nothing_more(
    chromium: Chromium, sqlite_connecting: Connecting, pages: str
) -> None:
    sqlite_connecting.server.consent = "deny"
    await chromium.go(await link(sqlite_connecting, pages))
    await chromium.go(await chromium.address())
    assert "was used before" in await chromium.text()


async def test_a_browser_that_lost_its_cookie_is_refused(
    chromium: Chromium, sqlite_connecting: Connecting, pages: str
) -> None:
    await chromium.go(await link(sqlite_connecting, pages))
    consent = await chromium.script("return document.querySelector('#allow').href")
    await chromium.go(f"{pages}/connect/done/none")
    await chromium.forget()
    await chromium.go(consent)
    assert "belongs to another browser" in await chromium.text()
    assert sqlite_connecting.server.token_requests == []

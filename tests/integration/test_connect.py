"""Connecting an account at a strict server: from the link to calls, and what is told on the way."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from auth.connect_error import ConnectError, Fault
from auth.errors import NeedsReconnect
from storage.accounts import ACTIVE, NEEDS_RECONNECT, NOT_CONNECTED
from tests.fixtures.authorization_server import AUTHORIZE, TOKEN, StrictServer, said_as
from tests.fixtures.consented import BASE_URL, Connecting
from tests.fixtures.http import Answer
from tests.fixtures.waiting import until


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


async def test_an_account_that_nobody_connected_says_so_and_asks_nobody(connecting: Connecting) -> None:
    opened = await connecting.create()
    with pytest.raises(NeedsReconnect, match="nobody has connected it yet") as caught:
        await connecting.bench.resolver().resolve_account("main")
    assert caught.value.action == "connect it: tieline accounts connect main"
    assert (await connecting.bench.account(opened)).state == NOT_CONNECTED
    assert connecting.server.token_requests == []


async def test_a_consent_makes_the_account_work_and_stay_at_work(connecting: Connecting) -> None:
    opened = await connecting.create()
    made = await connecting.browser().connect()
    first = await connecting.bench.resolver().resolve_account("main")
    await connecting.bench.expire(opened)
    renewed = await connecting.bench.resolver().resolve_account("main")
    assert (made.renews, made.told) == (True, "account main: connected")
    assert connecting.server.memory.honours(first.values["token"].reveal())
    assert connecting.server.memory.honours(renewed.values["token"].reveal())
    assert (await connecting.bench.account(opened)).state == ACTIVE
    assert connecting.server.memory.reuses == 0


async def test_the_request_for_consent_proves_its_origin_and_names_the_exact_address(
    sqlite_connecting: Connecting,
) -> None:
    await sqlite_connecting.create(scopes=["read", "write"])
    asked = query_of(await sqlite_connecting.browser().follow(await sqlite_connecting.invite()))
    assert len(asked.pop("state")) == 43
    assert len(asked.pop("code_challenge")) == 43
    assert asked == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": f"{BASE_URL}/connect/callback",
        "scope": "read write",
        "code_challenge_method": "S256",
    }


async def test_parameters_can_be_renamed_added_and_separated_otherwise(sqlite_connecting: Connecting) -> None:
    authorize = {
        "endpoint": sqlite_connecting.server.url + AUTHORIZE + "?tenant=t",
        "params": {"access_type": "offline"},
        "rename": {"client_id": "app_id"},
        "pkce": False,
    }
    await sqlite_connecting.create(authorize=authorize, scopes=["read", "write"], scope_separator=",")
    asked = query_of(await sqlite_connecting.browser().follow(await sqlite_connecting.invite()))
    assert asked.pop("state")
    assert asked == {
        "tenant": "t",
        "response_type": "code",
        "app_id": "client-1",
        "redirect_uri": f"{BASE_URL}/connect/callback",
        "scope": "read,write",
        "access_type": "offline",
    }


async def test_pkce_can_be_switched_off_for_a_provider_that_knows_none(sqlite_connecting: Connecting) -> None:
    sqlite_connecting.server.client.pkce = False
    await sqlite_connecting.create(authorize={"endpoint": sqlite_connecting.server.url + AUTHORIZE, "pkce": False})
    await sqlite_connecting.browser().connect()
    assert "code_verifier" not in sqlite_connecting.server.token_requests[0]


async def test_two_connects_in_one_browser_do_not_disturb_each_other(sqlite_connecting: Connecting) -> None:
    await sqlite_connecting.create("one")
    await sqlite_connecting.create("two")
    browser, connector = sqlite_connecting.browser(), sqlite_connecting.connector
    first = await browser.go(await sqlite_connecting.invite("one"))
    second = await browser.go(await sqlite_connecting.invite("two"))
    made = [await connector.finish(query, browser.cookie) for query in (first, second)]
    assert [each.account for each in made] == ["one", "two"]


async def test_whoever_waits_learns_the_outcome(connecting: Connecting) -> None:
    await connecting.create()
    invitation = await connecting.invite()
    before = await connecting.connector.progress(invitation.id)
    browser = connecting.browser()
    await connecting.connector.finish(await browser.go(invitation), browser.cookie)
    after = await connecting.connector.progress(invitation.id)
    assert before is not None
    assert after is not None
    assert before.outcome is None
    assert (after.outcome, after.told) == ("connected", "account main: connected")


@pytest.mark.parametrize("silence", [{}, {"refresh_token": None}])
async def test_a_provider_without_refresh_tokens_is_allowed_and_told_with_the_day_on_which_the_account_ends(
    connecting: Connecting, silence: dict[str, Any]
) -> None:
    def change(body: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in body.items() if name != "refresh_token"}
        return {**kept, "expires_in": 86400 * 60, **silence}

    opened = await connecting.create()
    connecting.server.fault(TOKEN, said_as(change))
    made = await connecting.browser().connect()
    assert not made.renews
    assert "stops working on 20" in made.told
    assert "access_type: offline" in made.told
    assert "offline_access" in made.told
    assert (await connecting.bench.row(opened)).refresh_at == made.expires_at


async def test_an_account_without_refresh_token_ends_with_its_access_token_and_says_why(
    connecting: Connecting,
) -> None:
    opened = await connecting.create()
    connecting.server.fault(TOKEN, said_as(lambda body: {**body, "refresh_token": None}))
    await connecting.browser().connect()
    await connecting.bench.expire(opened)
    with pytest.raises(NeedsReconnect, match="gave no refresh token"):
        await connecting.bench.resolver().resolve_account("main")
    with pytest.raises(NeedsReconnect, match="gave no refresh token"):
        await connecting.bench.resolver().resolve_account("main")
    account = await connecting.bench.account(opened)
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "no_refresh_token")
    assert len(connecting.server.token_requests) == 1


async def test_scopes_that_were_not_granted_are_named(sqlite_connecting: Connecting) -> None:
    sqlite_connecting.server.client.scope = "read"
    await sqlite_connecting.create(scopes=["read", "write"])
    made = await sqlite_connecting.browser().connect()
    assert made.told == "account main: connected. Not granted: write"


async def test_a_connect_waits_for_a_refresh_that_is_under_way_and_then_takes_its_place(
    connecting: Connecting,
) -> None:
    opened = await connecting.create()
    browser = connecting.browser()
    await browser.connect()
    await connecting.bench.expire(opened)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(process: Any, _: object) -> Answer:
        arrived.set()
        await go_on.wait()
        answer: Answer = await process()
        return answer

    query = await browser.go(await connecting.invite())
    connecting.server.fault(TOKEN, slow)
    refreshing = asyncio.create_task(connecting.bench.process().ensure(opened))
    await arrived.wait()
    finishing = asyncio.create_task(connecting.connector.finish(query, browser.cookie))
    await asyncio.sleep(0.1)
    waited = not finishing.done()
    go_on.set()
    await asyncio.gather(refreshing, finishing)
    assert waited
    assert (await connecting.bench.stored(opened)).refresh_token == connecting.server.newest.refresh_token
    assert connecting.server.token_requests[-1]["grant_type"] == "authorization_code"


async def test_a_browser_that_goes_away_does_not_take_the_grant_along(connecting: Connecting) -> None:
    opened = await connecting.create()
    browser = connecting.browser()
    query = await browser.go(await connecting.invite())
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(process: Any, _: object) -> Answer:
        arrived.set()
        await go_on.wait()
        answer: Answer = await process()
        return answer

    connecting.server.fault(TOKEN, slow)
    finishing = asyncio.create_task(connecting.connector.finish(query, browser.cookie))
    await arrived.wait()
    finishing.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    await until(lambda: bool(connecting.server.memory.tokens))
    assert (await connecting.bench.stored(opened)).token == connecting.server.newest.access_token
    assert (await connecting.bench.account(opened)).state == ACTIVE


async def test_an_account_that_needs_no_consent_cannot_be_connected(
    sqlite_connecting: Connecting, strict_server: StrictServer
) -> None:
    auth = {"type": "oauth2", "grant": "client_credentials", "token": {"endpoint": strict_server.url + TOKEN}}
    await sqlite_connecting.bench.connect(auth)
    with pytest.raises(ConnectError) as caught:
        await sqlite_connecting.invite()
    assert caught.value.fault is Fault.NOT_BY_CONSENT

"""A process that is killed while it connects: the grant before it stays, and the person can simply go on."""

import pytest
from sqlalchemy import update

from auth.connect_error import ConnectError
from auth.errors import NeedsReconnect
from storage.accounts import ACTIVE, NOT_CONNECTED
from storage.schema import connect_attempts
from tests.fixtures.authorization_server import TOKEN, Fault, instead
from tests.fixtures.consented import Browser, Connecting
from tests.fixtures.token_endpoint import refusal
from tests.fixtures.token_processes import Child

POINTS = ["before_storing_the_answer_to_a_code", "before_the_swap_of_a_consent"]


async def killed_at(point: str, connecting: Connecting, browser: Browser, child: Child) -> None:
    query = await browser.go(await connecting.invite())
    await child.order(connecting.bench, callback=query, cookie=browser.cookie, dies=point)
    await child.killed()


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_while_connecting_costs_the_grant_before_it_nothing(
    connecting: Connecting, child: Child, point: str
) -> None:
    opened = await connecting.create()
    browser = connecting.browser()
    await browser.connect()
    before = await connecting.bench.stored(opened)
    await killed_at(point, connecting, browser, child)
    await connecting.bench.end_lease(opened)
    await connecting.bench.expire(opened)
    state = await connecting.bench.process().ensure(opened)
    assert connecting.server.token_requests[-1]["refresh_token"] == before.refresh_token
    assert connecting.server.memory.honours(state.token)
    assert (await connecting.bench.account(opened)).state == ACTIVE
    assert connecting.server.memory.reuses == 0


@pytest.mark.parametrize("point", POINTS)
async def test_after_a_kill_the_person_consents_once_more(connecting: Connecting, child: Child, point: str) -> None:
    opened = await connecting.create()
    browser = connecting.browser()
    await killed_at(point, connecting, browser, child)
    assert (await connecting.bench.account(opened)).state == NOT_CONNECTED
    await connecting.bench.end_lease(opened)
    await browser.connect()
    state = await connecting.bench.process().ensure(opened)
    assert connecting.server.memory.honours(state.token)
    assert await connecting.bench.record(opened, "consent") is None


@pytest.mark.parametrize("point", POINTS)
async def test_whoever_waits_for_a_killed_connect_learns_within_two_minutes_what_became_of_it(
    connecting: Connecting, child: Child, point: str
) -> None:
    opened = await connecting.create()
    browser, invitation = connecting.browser(), await connecting.invite()
    query = await browser.go(invitation)
    await child.order(connecting.bench, callback=query, cookie=browser.cookie, dies=point)
    await child.killed()
    at_once = await connecting.connector.progress(invitation.id)
    async with connecting.bench.database.write() as connection:
        ends = connect_attempts.c.expires_at
        await connection.execute(update(connect_attempts).values(expires_at=ends - 121))
    later = await connecting.connector.progress(invitation.id)
    assert at_once is not None
    assert later is not None
    assert (at_once.outcome, later.outcome) == (None, "expired")
    assert "ended before the provider gave a token; the account is as it was" in (later.told or "")
    assert "Next step: tieline accounts connect main" in (later.told or "")
    assert (await connecting.bench.account(opened)).state == NOT_CONNECTED


@pytest.mark.parametrize("point", POINTS)
async def test_a_refusal_after_a_killed_connect_is_not_taken_for_a_lost_reply(
    sqlite_connecting: Connecting, child: Child, point: str
) -> None:
    opened = await sqlite_connecting.create()
    browser = sqlite_connecting.browser()
    await browser.connect()
    sqlite_connecting.server.newest.family.revoked = True
    await killed_at(point, sqlite_connecting, browser, child)
    await sqlite_connecting.bench.end_lease(opened)
    await sqlite_connecting.bench.expire(opened)
    with pytest.raises(NeedsReconnect):
        await sqlite_connecting.bench.process().ensure(opened)
    assert (await sqlite_connecting.bench.account(opened)).cause == "invalid_grant"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(instead(refusal(400, "invalid_grant")), id="refused"),
        pytest.param(instead(refusal(200, "bad_verification_code")), id="refused-with-200"),
    ],
)
async def test_a_connect_that_fails_leaves_the_stored_heir_of_a_killed_refresh(
    connecting: Connecting, child: Child, fault: Fault
) -> None:
    opened = await connecting.create()
    browser = connecting.browser()
    await browser.connect()
    await connecting.bench.expire(opened)
    await child.order(connecting.bench, dies="before_the_swap")
    await child.killed()
    await connecting.bench.end_lease(opened)
    query = await browser.go(await connecting.invite())
    connecting.server.fault(TOKEN, fault)
    with pytest.raises(ConnectError, match="no token for the consent"):
        await connecting.connector.finish(query, browser.cookie)
    asked = len(connecting.server.token_requests)
    state = await connecting.bench.process().ensure(opened)
    assert connecting.server.memory.honours(state.token)
    assert (len(connecting.server.token_requests), connecting.server.memory.reuses) == (asked, 0)

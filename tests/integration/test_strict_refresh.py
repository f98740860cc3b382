"""The refresh protocol against a server that rotates, and ends a whole family when a refresh token comes twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from auth.credential import OpenAccount
from auth.errors import ClientRefused, NeedsReconnect, TokenUnavailable
from storage.accounts import ACTIVE, NEEDS_RECONNECT
from tests.fixtures.authorization_server import (
    TOKEN,
    Fault,
    StrictServer,
    drop_after,
    drop_before,
    instead,
    said_as,
)
from tests.fixtures.http import Answer
from tests.fixtures.refreshing import Bench
from tests.fixtures.token_endpoint import refusal


async def test_a_refresh_brings_a_token_that_the_api_takes_and_keeps_its_heir(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    state = await bench.process().ensure(connected)
    stored = await bench.stored(connected)
    assert strict_server.memory.honours(state.token)
    assert (stored.refresh_token, stored.scope) == (strict_server.newest.refresh_token, "read")


async def test_refreshes_in_a_row_never_spend_a_token_twice(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    refresher = bench.process()
    for _ in range(3):
        await refresher.ensure(connected)
        await bench.expire(connected)
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (3, 0)


@pytest.mark.parametrize("callers", [2, 25])
async def test_callers_of_two_processes_redeem_once_and_the_family_lives(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer, callers: int
) -> None:
    refreshers = [bench.process(), bench.process()]
    states = await asyncio.gather(*(each.ensure(connected) for each in refreshers for _ in range(callers)))
    assert {state.version for state in states} == {2}
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (1, 0)
    assert strict_server.memory.honours(states[0].token)


async def test_a_reply_lost_within_the_grace_period_costs_nothing(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    strict_server.memory.grace = 30
    strict_server.fault(TOKEN, drop_after)
    state = await bench.process().ensure(connected)
    assert strict_server.memory.honours(state.token)
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (2, 1)
    assert (await bench.account(connected)).state == ACTIVE


async def test_a_request_that_never_arrived_is_made_once_more_and_spends_nothing_twice(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    strict_server.fault(TOKEN, drop_before)
    state = await bench.process().ensure(connected)
    assert strict_server.memory.honours(state.token)
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (1, 0)


async def test_a_reply_lost_without_grace_needs_a_reconnect_and_says_so(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    strict_server.fault(TOKEN, drop_after)
    with pytest.raises(NeedsReconnect, match="lost_reply") as caught:
        await bench.process().ensure(connected)
    account = await bench.account(connected)
    assert caught.value.action == "connect it again: tieline accounts connect main"
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "lost_reply")
    assert len(strict_server.token_requests) == 2


async def test_a_dead_grant_s_access_token_serves_until_it_expires(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    await bench.nearly_expire(connected)
    strict_server.fault(TOKEN, drop_after)
    state = await bench.process().ensure(connected)
    later = await bench.process().ensure(connected)
    assert state.token == later.token == "access-0"
    assert (await bench.account(connected)).cause == "lost_reply"
    assert len(strict_server.token_requests) == 2


async def test_a_caller_who_is_cancelled_does_not_take_the_heir_along(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(process: Callable[[], Awaitable[Answer]], _: object) -> Answer:
        arrived.set()
        await go_on.wait()
        return await process()

    strict_server.fault(TOKEN, slow)
    calling = asyncio.create_task(bench.process().ensure(connected))
    await arrived.wait()
    calling.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (await bench.stored(connected)).refresh_token == strict_server.newest.refresh_token
    assert strict_server.memory.redemptions == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(instead(refusal(429, None, [("Retry-After", "0")])), id="429"),
        pytest.param(instead(Answer(500, b"<h1>Oops</h1>", [("Content-Type", "text/html")])), id="500"),
        pytest.param(instead(refusal(503, "temporarily_unavailable")), id="503"),
    ],
)
async def test_what_passes_leaves_the_refresh_token_and_the_account_as_they_were(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer, fault: Fault
) -> None:
    strict_server.fault(TOKEN, fault)
    with pytest.raises(TokenUnavailable):
        await bench.process().ensure(connected)
    assert (await bench.stored(connected)).refresh_token == "refresh-0"
    assert (await bench.account(connected)).state == ACTIVE
    assert strict_server.memory.redemptions == 0


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(said_as(lambda body: body, "text/html"), id="as-html"),
        pytest.param(said_as(lambda body: {**body, "expires_in": "3599.5"}), id="expires-3599.5"),
        pytest.param(said_as(lambda body: {**body, "expires_in": "abc"}), id="expires-abc"),
        pytest.param(said_as(lambda body: {**body, "expires_in": None}), id="expires-null"),
        pytest.param(said_as(lambda body: {**body, "expires_in": -1}), id="expires-negative"),
        pytest.param(said_as(lambda body: {**body, "token_type": None}), id="type-null"),
        pytest.param(said_as(lambda body: b"\xef\xbb\xbf" + json.dumps(body).encode()), id="with-a-bom"),
    ],
)
async def test_a_reply_in_odd_words_costs_no_refresh_token(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer, words: Fault
) -> None:
    strict_server.fault(TOKEN, words)
    state = await bench.process().ensure(connected)
    assert strict_server.memory.honours(state.token)
    assert (await bench.stored(connected)).refresh_token == strict_server.newest.refresh_token


@pytest.mark.parametrize("silence", [{}, {"refresh_token": None}, {"refresh_token": ""}])
async def test_a_reply_without_a_refresh_token_leaves_the_one_before_in_force(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer, silence: dict[str, str | None]
) -> None:
    def change(body: dict[str, object]) -> dict[str, object]:
        return {**{name: value for name, value in body.items() if name != "refresh_token"}, **silence}

    strict_server.fault(TOKEN, said_as(change))
    await bench.process().ensure(connected)
    assert (await bench.stored(connected)).refresh_token == "refresh-0"


async def test_a_refusal_of_the_client_leaves_the_account_alive(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    strict_server.client.client_secret = "changed-at-the-provider"
    with pytest.raises(ClientRefused):
        await bench.process().ensure(connected)
    assert (await bench.account(connected)).state == ACTIVE
    assert (await bench.stored(connected)).refresh_token == "refresh-0"

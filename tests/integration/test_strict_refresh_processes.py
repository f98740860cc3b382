"""Real processes that renew at the strict server: one redemption for all, and what a `kill -9` costs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from auth.credential import OpenAccount
from auth.errors import NeedsReconnect
from storage.accounts import ACTIVE, NEEDS_RECONNECT
from tests.fixtures.authorization_server import TOKEN, StrictServer
from tests.fixtures.http import Answer
from tests.fixtures.refreshing import PATIENT, Bench
from tests.fixtures.token_processes import CALLERS, PROCESSES, Child, ask_all


async def test_fifty_callers_in_four_processes_redeem_once_and_the_family_lives(
    bench: Bench, children: list[Child], connected: OpenAccount, strict_server: StrictServer
) -> None:
    outcomes = await ask_all(children, bench)
    assert outcomes == [{"token": strict_server.newest.access_token, "version": 2}] * (PROCESSES * CALLERS)
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (1, 0)
    assert strict_server.memory.honours(strict_server.newest.access_token)


async def test_an_endpoint_slower_than_anybody_waits_is_asked_by_one_process_at_a_time(
    bench: Bench, children: list[Child], connected: OpenAccount, strict_server: StrictServer
) -> None:
    """The holder's deadline ends before its lease, so that no other redeems while it may still be answered."""
    under_way: list[int] = [0]
    most = 0

    async def slow(process: Callable[[], Awaitable[Answer]], _: object) -> Answer:
        nonlocal most
        under_way[0] += 1
        most = max(most, under_way[0])
        try:
            await asyncio.sleep(0.8)  # longer than the deadline below
            return await process()
        finally:
            under_way[0] -= 1

    strict_server.fault(TOKEN, *[slow] * 2)
    impatient = replace(PATIENT, deadline=0.5, persist=0.5, wait=0.2)
    await asyncio.gather(*(each.order(bench, callers=3, timing=impatient) for each in children))
    outcomes = [outcome for each in children for outcome in await each.answer()]
    assert {outcome.get("error") for outcome in outcomes} == {"token_unavailable"}
    assert most <= 2, "the holder's retry after its own deadline, and nobody else's"
    assert len({request["refresh_token"] for request in strict_server.token_requests}) == 1


@pytest.mark.parametrize("grace", [30.0, 0.0])
async def test_an_answer_stored_before_the_kill_is_put_in_force_without_a_request(
    bench: Bench, child: Child, connected: OpenAccount, strict_server: StrictServer, grace: float
) -> None:
    strict_server.memory.grace = grace
    await child.order(bench, dies="before_the_swap")
    await child.killed()
    await bench.end_lease(connected)
    state = await bench.process().ensure(connected)
    assert strict_server.memory.honours(state.token)
    assert (len(strict_server.token_requests), strict_server.memory.reuses) == (1, 0)


async def test_a_kill_before_the_answer_is_stored_costs_nothing_within_the_grace_period(
    bench: Bench, child: Child, connected: OpenAccount, strict_server: StrictServer
) -> None:
    strict_server.memory.grace = 30
    await child.order(bench, dies="before_storing_the_answer")
    await child.killed()
    await bench.end_lease(connected)
    state = await bench.process().ensure(connected)
    assert strict_server.memory.honours(state.token)
    assert (await bench.account(connected)).state == ACTIVE
    assert [request["refresh_token"] for request in strict_server.token_requests] == ["refresh-0"] * 2


async def test_a_kill_before_the_answer_is_stored_without_grace_is_told_as_a_lost_reply_after_one_retry(
    bench: Bench, child: Child, connected: OpenAccount, strict_server: StrictServer
) -> None:
    await child.order(bench, dies="before_storing_the_answer")
    await child.killed()
    await bench.end_lease(connected)
    with pytest.raises(NeedsReconnect, match="lost_reply"):
        await bench.process().ensure(connected)
    with pytest.raises(NeedsReconnect, match="lost_reply"):
        await bench.process().ensure(connected)
    account = await bench.account(connected)
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "lost_reply")
    assert len(strict_server.token_requests) == 2

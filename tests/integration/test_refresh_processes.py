"""Real processes that need the same token at once, and real processes that die or sleep on the way to it."""

import asyncio
from dataclasses import replace

import pytest

from auth.errors import NeedsReconnect
from storage.accounts import ACTIVE
from tests.fixtures.refreshing import PATIENT, Bench, client_credentials, rotating
from tests.fixtures.token_endpoint import Held, RotatingGrants, TokenEndpoint, params, refusal, token
from tests.fixtures.token_processes import CALLERS, LIMIT, PROCESSES, Child, ask_all


async def test_fifty_callers_in_four_processes_without_a_token_make_one_request(
    bench: Bench, children: list[Child], endpoint: TokenEndpoint
) -> None:
    held = Held(token("first"))
    endpoint.answer(held, token("second"))
    await bench.connect(client_credentials(endpoint.url))
    asking = asyncio.create_task(ask_all(children, bench))
    await held.arrived.wait()
    await asyncio.sleep(0.2)  # so that the other processes meet the lease, not its end
    held.release()
    assert await asking == [{"token": "first", "version": 1}] * (PROCESSES * CALLERS)
    assert len(endpoint.requests) == 1


async def test_fifty_callers_in_four_processes_spend_an_expired_refresh_token_once(
    bench: Bench, children: list[Child], endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=False)
    await rotating(bench, endpoint, refresh_endpoint, grants)
    assert await ask_all(children, bench) == [{"token": "access-1.1", "version": 2}] * (PROCESSES * CALLERS)
    assert (grants.rotations, grants.reuses, grants.logins) == (1, 0, 1)


async def test_fifty_callers_in_four_processes_hear_of_one_refusal(
    bench: Bench, children: list[Child], endpoint: TokenEndpoint
) -> None:
    endpoint.answer(refusal(200, "bad_refresh_token"))
    opened = await bench.connect(client_credentials(endpoint.url))
    assert await ask_all(children, bench) == [{"error": "needs_reconnect"}] * (PROCESSES * CALLERS)
    assert len(endpoint.requests) == 1
    with pytest.raises(NeedsReconnect):
        await bench.process().ensure(opened)


async def test_a_token_whose_process_was_killed_before_the_swap_is_recovered_without_a_request(
    bench: Bench, child: Child, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=False)
    opened = await rotating(bench, endpoint, refresh_endpoint, grants)
    await child.order(bench, dies="before_the_swap")
    await child.killed()
    assert (await bench.stored(opened)).token == "access-1.0"
    await bench.end_lease(opened)
    assert (await bench.process().ensure(opened)).token == "access-1.1"
    assert (await bench.stored(opened)).refresh_token == "refresh-1.1"
    assert await bench.record(opened, "pending") is None
    assert (len(refresh_endpoint.requests), grants.logins) == (1, 1)


async def test_a_killed_process_s_claim_ends_with_its_lease(
    bench: Bench, child: Child, endpoint: TokenEndpoint
) -> None:
    """Nothing is spent by client credentials, so the next process simply asks again."""
    held = Held(token("never-seen"))
    endpoint.answer(held, token("second"))
    opened = await bench.connect(client_credentials(endpoint.url))
    await child.order(bench, timing=replace(PATIENT, deadline=0.3, persist=0.1, lease=1.0))
    await asyncio.wait_for(held.arrived.wait(), LIMIT)
    child.process.kill()
    await child.killed()
    leased = await bench.row(opened)
    state = await bench.process().ensure(opened)
    assert (state.token, state.version) == ("second", 1)
    assert state.now >= leased.lease_until > leased.now
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("forgiving", "heir", "reuses", "logins"), [(True, "access-1.1", 1, 1), (False, "access-2.1", 1, 2)]
)
async def test_a_refresh_token_spent_by_a_killed_process_is_tried_once_more_and_then_replaced_by_a_login(
    bench: Bench,
    child: Child,
    endpoint: TokenEndpoint,
    refresh_endpoint: TokenEndpoint,
    forgiving: bool,
    heir: str,
    reuses: int,
    logins: int,
) -> None:
    grants = RotatingGrants(forgiving)
    opened = await rotating(bench, endpoint, refresh_endpoint, grants)
    await child.order(bench, dies="before_storing_the_answer")
    await child.killed()
    await bench.end_lease(opened)
    assert (await bench.row(opened)).in_doubt
    assert (await bench.process().ensure(opened)).token == heir
    assert [params(request)["refresh_token"] for request in refresh_endpoint.requests] == ["refresh-1.0"] * 2
    assert (grants.rotations, grants.reuses, grants.logins) == (1, reuses, logins)
    assert (await bench.account(opened)).state == ACTIVE


async def test_a_process_that_slept_past_its_lease_cannot_replace_the_newer_token(
    bench: Bench, child: Child, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("stale"), token("newer"))
    opened = await bench.connect(client_credentials(endpoint.url))
    await child.order(bench, sleeps="before_storing_the_answer")
    await child.asleep()
    await bench.end_lease(opened)
    newer = await bench.process().ensure(opened)
    row = await bench.row(opened)
    child.wake()
    assert await child.answer() == [{"token": newer.token, "version": newer.version}]
    assert (await bench.stored(opened)).token == newer.token
    assert replace(await bench.row(opened), now=row.now) == row

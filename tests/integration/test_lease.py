"""Who holds an account's tokens, by real time: the dead are followed soon, the living never.

Nothing here ends a lease by hand; the times are the real ones, cut to a seventh.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from auth.connect import Connector
from auth.credential import OpenAccount
from auth.exchange import Exchange
from auth.refresh import Refresher
from auth.refresh_plan import Timing
from storage.accounts import ACTIVE
from storage.database import Database
from storage.errors import DatabaseUnavailable
from tests.fixtures.authorization_server import TOKEN, StrictServer
from tests.fixtures.consented import Browser, Connecting
from tests.fixtures.http import Answer
from tests.fixtures.many_tokens import pass_time
from tests.fixtures.refreshing import Bench
from tests.fixtures.token_processes import Child, started
from tests.fixtures.waiting import until

SHORT = Timing(deadline=10, persist=10, wait=15, poll=0.02, lease=1.3, pulse=0.4, watch=0.6)
HOUR = 3600.0


class Gate:
    """A fault of the strict server: a request waits here until it is let through."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, process: Callable[[], Awaitable[Answer]], _: object) -> Answer:
        self.arrived.set()
        await self.open.wait()
        return await process()


@contextlib.asynccontextmanager
async def under_way(
    bench: Bench, server: StrictServer, opened: OpenAccount
) -> AsyncIterator[tuple[Gate, "asyncio.Task[object]"]]:
    """A renewal whose request has arrived and is not answered yet."""
    gate = Gate()
    server.fault(TOKEN, gate)
    holder: asyncio.Task[object] = asyncio.create_task(bench.process(SHORT).ensure(opened))
    await gate.arrived.wait()
    yield gate, holder
    gate.open.set()
    await holder


async def test_a_killed_process_is_followed_while_its_provider_still_forgives_a_token_spent_twice(
    bench: Bench, child: Child, connected: OpenAccount, strict_server: StrictServer
) -> None:
    strict_server.memory.grace = 30 / 7
    async with started() as another:
        await another.order(bench, account="nobody")
        await another.answer()  # it is up: what it takes from here on is the protocol's
        await child.order(bench, dies="before_storing_the_answer", timing=SHORT)
        await child.killed()
        await another.order(bench, timing=SHORT)
        outcomes = await another.answer()
    assert outcomes == [{"token": strict_server.newest.access_token, "version": 2}]
    assert strict_server.memory.honours(strict_server.newest.access_token)
    assert (await bench.account(connected)).state == ACTIVE
    assert [request["refresh_token"] for request in strict_server.token_requests] == ["refresh-0"] * 2


async def test_a_holder_who_is_answered_slowly_keeps_its_claim_as_long_as_it_waits(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    async with under_way(bench, strict_server, connected) as (gate, holder):
        first = await bench.row(connected)
        other = asyncio.create_task(bench.process(SHORT).ensure(connected))
        await until(lambda: _later(bench, connected, first.lease_until + 2 * SHORT.lease))
        assert (len(strict_server.token_requests), other.done()) == (1, False)
        gate.open.set()
        assert await other == await holder or (await other).version == 2
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (1, 0)


async def test_a_consent_that_is_answered_slowly_keeps_its_claim_too(connecting: Connecting) -> None:
    bench, server = connecting.bench, connecting.server
    opened = await connecting.create()
    exchange = Exchange(bench.database, bench.vault, bench.http, SHORT)
    connector = Connector(bench.database, bench.vault, bench.resolver(), exchange, bench.http)
    gate = Gate()
    server.fault(TOKEN, gate)
    consenting = asyncio.create_task(Browser(connector).connect())
    await gate.arrived.wait()
    first = await bench.row(opened)
    await until(lambda: _later(bench, opened, first.lease_until + SHORT.lease))
    gate.open.set()
    await consenting
    assert (await bench.row(opened)).fence == first.fence
    assert server.memory.honours((await bench.stored(opened)).token)


async def _later(bench: Bench, opened: OpenAccount, instant: float) -> bool:
    return (await bench.row(opened)).lease_until > instant


@pytest.mark.parametrize("step", [2 * HOUR, -600.0], ids=["two-hours-forward", "ten-minutes-back"])
async def test_a_clock_that_steps_in_the_middle_of_a_renewal_lets_nobody_else_spend_the_token(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer, step: float
) -> None:
    async with under_way(bench, strict_server, connected) as (gate, holder):
        await pass_time(bench.database, step)
        other = asyncio.create_task(bench.process(SHORT).ensure(connected))
        await asyncio.sleep(2 * SHORT.watch)  # longer than the other one watches before it takes over
        spent = [request["refresh_token"] for request in strict_server.token_requests]
        gate.open.set()
        await asyncio.gather(holder, other)
    assert spent == ["refresh-0"]
    assert strict_server.memory.reuses == 0
    assert strict_server.memory.honours(strict_server.newest.access_token)
    assert (await bench.stored(connected)).refresh_token == strict_server.newest.refresh_token


class AwayDatabase(Database):
    """Can be read only while `away` is set."""

    away = False

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        if self.away:
            raise DatabaseUnavailable("the database is away")
        async with super().write() as connection:
            yield connection


async def test_an_answer_that_waited_for_the_database_longer_than_its_claim_goes_before_anybody_else_s_request(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    """No grace: a second use of the token that was spent would end the family."""
    gate = Gate()
    strict_server.fault(TOKEN, gate)
    database = AwayDatabase(bench.url)
    holder = asyncio.create_task(Refresher(database, bench.vault, bench.http, SHORT).ensure(connected))
    await gate.arrived.wait()
    database.away = True
    gate.open.set()
    await until(lambda: _over(bench, connected))
    database.away = False
    other = await bench.process(SHORT).ensure(connected)
    await holder
    assert other.token == strict_server.newest.access_token
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (1, 0)
    await database.dispose()


async def _over(bench: Bench, opened: OpenAccount) -> bool:
    row = await bench.row(opened)
    return row.lease_owner is not None and row.lease_until <= row.now


async def test_whoever_lost_its_claim_sends_nothing_more(
    bench: Bench, connected: OpenAccount, strict_server: StrictServer
) -> None:
    """Its first request was cut off; by then the account is somebody else's."""

    async def cut_when_lost(process: Callable[[], Awaitable[Answer]], wire: object) -> None:
        await bench.set_token_row(connected, lease_owner="somebody", fence=99, lease_until=4e9)
        await asyncio.sleep(2 * SHORT.pulse)
        wire.reset()  # type: ignore[attr-defined]

    strict_server.fault(TOKEN, cut_when_lost)
    holder = asyncio.create_task(bench.process(SHORT).ensure(connected))
    await until(lambda: len(strict_server.token_requests) == 1)
    await until(lambda: _fenced(bench, connected))
    await asyncio.sleep(3 * SHORT.pulse)
    assert len(strict_server.token_requests) == 1
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder


async def _fenced(bench: Bench, opened: OpenAccount) -> bool:
    return (await bench.row(opened)).fence == 99

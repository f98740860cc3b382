"""The path to a valid token, on SQLite and on PostgreSQL, against a token endpoint that does what it likes."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from auth.credential import OpenAccount
from auth.errors import TokenUnavailable
from auth.refresh import Refresher
from auth.refresh_plan import Timing
from storage.database import Database
from storage.errors import DatabaseUnavailable
from tests.fixtures.http import Answer
from tests.fixtures.refreshing import PATIENT, Bench, client_credentials, readers, rotating
from tests.fixtures.token_endpoint import (
    Held,
    RotatingGrants,
    TokenEndpoint,
    answer,
    params,
    refusal,
    silence,
    token,
)
from tests.fixtures.waiting import until

TOUCH = text("UPDATE tokens SET failures = failures WHERE account_id = :id")
"""Locks the account's row, on SQLite the whole database, until the transaction ends."""

HASTY = Timing(deadline=0.5, persist=0.2, wait=20, poll=0.02, lease=1.6, pulse=0.4, watch=0.5)
"""Its requests and leases end within a test."""


# One request for everybody.


async def test_a_token_is_asked_for_once_and_then_used_by_every_process(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(token("first"))
    opened = await bench.connect(client_credentials(endpoint.url))
    states = [await bench.process().ensure(opened) for _ in range(3)]
    assert {(state.token, state.version) for state in states} == {("first", 1)}
    assert len(endpoint.requests) == 1


async def test_twenty_callers_whose_token_was_refused_renew_it_once(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(token("first"), token("second"))
    opened = await bench.connect(client_credentials(endpoint.url))
    processes = [bench.process(), bench.process()]
    refused = await processes[0].ensure(opened)
    states = await asyncio.gather(*(processes[i % 2].ensure(opened, refused.version) for i in range(20)))
    assert {(state.token, state.version) for state in states} == {("second", 2)}
    assert len(endpoint.requests) == 2


async def test_a_version_that_was_refused_long_ago_renews_nothing(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(token("first"), token("second"), token("third"))
    opened = await bench.connect(client_credentials(endpoint.url))
    process = bench.process()
    await process.ensure(opened)
    await process.ensure(opened, 1)
    assert (await process.ensure(opened, 1)).token == "second"
    assert len(endpoint.requests) == 2


async def test_one_failed_attempt_answers_everybody_who_waited_for_it(bench: Bench, endpoint: TokenEndpoint) -> None:
    held = Held(refusal(500))
    endpoint.answer(held, token("too-many"))
    opened = await bench.connect(client_credentials(endpoint.url))
    processes = [bench.process(), bench.process()]
    with readers(bench.database) as seen:
        callers = [asyncio.create_task(processes[i % 2].ensure(opened)) for i in range(10)]
        await held.arrived.wait()
        await until(lambda: seen.issuperset(callers))
    held.release()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TokenUnavailable}
    assert len(endpoint.requests) == 1


async def test_the_holder_gives_up_before_its_lease_ends_and_nobody_else_asks_meanwhile(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(silence)
    opened = await bench.connect(client_credentials(endpoint.url))
    slow = asyncio.create_task(bench.process(HASTY).ensure(opened))
    await endpoint.asked(1)
    leased = await bench.row(opened)
    impatient = bench.process(dataclasses.replace(PATIENT, wait=0.0))
    with pytest.raises(TokenUnavailable, match="being renewed"):
        await impatient.ensure(opened)
    with pytest.raises(TokenUnavailable, match="timeout"):
        await slow
    ended = await bench.row(opened)
    assert len(endpoint.requests) == 1
    assert ended.now < leased.lease_until
    assert ended.lease_until == 0.0


# Nothing is lost on the way from the answer to the database.


async def test_a_caller_cancelled_between_sending_and_storing_leaves_the_token_stored(
    bench: Bench, expired: OpenAccount, refresh_endpoint: TokenEndpoint
) -> None:
    held = Held(token("second", refresh_token="twice"))
    refresh_endpoint.answer(held)
    caller = asyncio.create_task(bench.process().ensure(expired))
    await held.arrived.wait()
    caller.cancel()
    await asyncio.sleep(0)
    caller.cancel()
    held.release()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (await bench.stored(expired)).refresh_token == "twice"
    assert len(refresh_endpoint.requests) == 1


async def test_a_cancelled_caller_does_not_disturb_those_who_share_its_redemption(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    held = Held(token("first"))
    endpoint.answer(held)
    opened = await bench.connect(client_credentials(endpoint.url))
    process = bench.process()
    with readers(bench.database) as seen:
        callers = [asyncio.create_task(process.ensure(opened)) for _ in range(3)]
        await held.arrived.wait()
        await until(lambda: seen.issuperset(callers))
    callers[0].cancel()
    callers[1].cancel()
    held.release()
    assert (await callers[2]).token == "first"
    assert [caller.cancelled() for caller in callers] == [True, True, False]


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [('"3599.5"', 3599.5), ('"abc"', None), ("-1", None), ("0", None), ("null", None), (None, None), ("1e400", None)],
)
async def test_a_token_is_stored_whatever_is_said_of_its_expiry(
    bench: Bench, expired: OpenAccount, refresh_endpoint: TokenEndpoint, expires_in: str | None, lifetime: float | None
) -> None:
    stated = f', "expires_in": {expires_in}' if expires_in else ""
    refresh_endpoint.answer(Answer(200, b'{"access_token": "second", "refresh_token": "twice"%s}' % stated.encode()))
    state = await bench.process().ensure(expired)
    stored = await bench.stored(expired)
    assert (state.token, stored.token, stored.refresh_token) == ("second", "second", "twice")
    row = await bench.row(expired)
    assert row.issued_at is not None
    assert row.access_expires_at == (None if lifetime is None else row.issued_at + lifetime)


@pytest.mark.parametrize("more", [{}, {"refresh_token": None}, {"refresh_token": ""}], ids=["none", "null", "empty"])
async def test_a_reply_without_a_refresh_token_leaves_the_previous_one(
    bench: Bench, expired: OpenAccount, refresh_endpoint: TokenEndpoint, more: dict[str, object]
) -> None:
    refresh_endpoint.answer(token("second", **more))
    await bench.process().ensure(expired)
    stored = await bench.stored(expired)
    assert (stored.token, stored.refresh_token) == ("second", "once")


async def test_a_refresh_token_that_came_with_an_error_replaces_the_one_that_was_spent(
    bench: Bench, expired: OpenAccount, refresh_endpoint: TokenEndpoint
) -> None:
    refresh_endpoint.answer(answer(200, {"refresh_token": "twice"}), token("third", refresh_token="thrice"))
    with pytest.raises(TokenUnavailable):
        await bench.process().ensure(expired)
    assert (await bench.process().ensure(expired)).token == "third"
    assert [params(request)["refresh_token"] for request in refresh_endpoint.requests] == ["once", "twice"]


async def test_a_lifetime_counts_from_before_the_request(bench: Bench, endpoint: TokenEndpoint) -> None:
    """Also when the claim itself had to wait for the database."""
    endpoint.answer(token("first", expires_in=600))
    opened = await bench.connect(client_credentials(endpoint.url))
    async with bench.database.write() as connection:
        caller = asyncio.create_task(bench.process().ensure(opened))
        await connection.execute(TOUCH, {"id": opened.account.id})
        await asyncio.sleep(0.2)
    state = await caller
    assert state.expires_at is not None
    assert state.expires_at <= (await bench.row(opened)).now + 600


async def test_an_answer_is_stored_though_the_database_is_locked_when_it_comes(
    bench: Bench, expired: OpenAccount, refresh_endpoint: TokenEndpoint
) -> None:
    held = Held(token("second", refresh_token="twice"))
    refresh_endpoint.answer(held)
    caller = asyncio.create_task(bench.process().ensure(expired))
    await held.arrived.wait()
    async with bench.database.write() as connection:
        await connection.execute(TOUCH, {"id": expired.account.id})
        held.release()
        await asyncio.sleep(0.15)
        assert not caller.done()
    assert (await caller).token == "second"
    assert (await bench.stored(expired)).refresh_token == "twice"


class AwayDatabase(Database):
    """Cannot be written `times` times from the second transaction on: the first one is the claim."""

    def __init__(self, url: str, times: int) -> None:
        super().__init__(url)
        self._writes = 0
        self._times = times

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._writes += 1
        if 1 < self._writes <= 1 + self._times:
            raise DatabaseUnavailable("the database is away")
        async with super().write() as connection:
            yield connection


@pytest.fixture
async def away(bench: Bench) -> AsyncIterator[Callable[[int], AwayDatabase]]:
    """A second way to the same database, which fails so many times."""
    opened: list[AwayDatabase] = []

    def make(times: int) -> AwayDatabase:
        opened.append(AwayDatabase(bench.url, times))
        return opened[-1]

    yield make
    for each in opened:
        await each.dispose()


async def test_an_answer_is_stored_as_soon_as_the_database_is_back(
    bench: Bench,
    expired: OpenAccount,
    refresh_endpoint: TokenEndpoint,
    away: Callable[[int], AwayDatabase],
) -> None:
    refresh_endpoint.answer(token("second", refresh_token="twice"))
    state = await Refresher(away(5), bench.vault, bench.http, PATIENT).ensure(expired)
    assert (state.token, len(refresh_endpoint.requests)) == ("second", 1)
    assert (await bench.stored(expired)).refresh_token == "twice"


async def test_a_database_that_stays_away_until_the_lease_ends_is_told_and_the_next_process_asks_again(
    bench: Bench,
    endpoint: TokenEndpoint,
    refresh_endpoint: TokenEndpoint,
    away: Callable[[int], AwayDatabase],
) -> None:
    grants = RotatingGrants(forgiving=True)
    opened = await rotating(bench, endpoint, refresh_endpoint, grants)
    with pytest.raises(TokenUnavailable, match="the database is away"):
        await Refresher(away(10_000), bench.vault, bench.http, HASTY).ensure(opened)
    assert (await bench.process().ensure(opened)).token == "access-1.1"
    assert (grants.rotations, grants.reuses) == (1, 1)


class SilentDatabase(AwayDatabase):
    """Lets nobody begin a transaction after the claim, and says nothing."""

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._writes += 1
        if self._writes > 1:
            await asyncio.Event().wait()
        async with Database.write(self) as connection:
            yield connection


async def test_a_redemption_that_hangs_is_given_up_and_does_not_keep_its_process_from_ending(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first"))
    opened = await bench.connect(client_credentials(endpoint.url))
    silent = SilentDatabase(bench.url, 0)
    process = Refresher(silent, bench.vault, bench.http, HASTY)
    caller = asyncio.create_task(process.ensure(opened))
    await endpoint.asked(1)
    await asyncio.wait_for(process.drain(), 20)
    with pytest.raises(TokenUnavailable, match="could not be stored in time"):
        await caller
    await silent.dispose()


async def test_a_redemption_is_finished_before_its_process_closes_its_clients(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    held = Held(token("first"))
    endpoint.answer(held)
    opened = await bench.connect(client_credentials(endpoint.url))
    process = bench.process()
    caller = asyncio.create_task(process.ensure(opened))
    await held.arrived.wait()
    drained = asyncio.create_task(process.drain())
    caller.cancel()
    held.release()
    await drained
    assert (await bench.stored(opened)).token == "first"
    with pytest.raises(asyncio.CancelledError):
        await caller

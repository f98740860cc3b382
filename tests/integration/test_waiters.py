"""Runs are registered while their account is dead, and woken when it is not: none is forgotten, whatever happens at
once, on SQLite and on PostgreSQL."""

import asyncio
import itertools
import json
from collections.abc import Coroutine
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from auth.errors import CredentialError, Unbound
from auth.resolver import CredentialResolver
from definitions.loading import load_text
from definitions.refs import CredentialRef
from storage.bindings import bind_subject, unbind_subject
from storage.database import db_now
from storage.schema import waiters
from storage.tokens import lock_token
from storage.waiters import SLACK, forget_waiters, wake_for_account
from tests.fixtures.consented import authorization_code
from tests.fixtures.waiting_runs import ANNS, PROFILE, SHOP, Lobby, ticket, tickets

AT_ONCE = 30


async def around(lobby: Lobby, change: Coroutine[None, None, None], ref: CredentialRef = SHOP) -> list[bool]:
    """Register runs, some at once all the time, from before a change is made until after that."""
    resolvers = [lobby.resolver, lobby.connecting.bench.resolver()]
    first = await lobby.park(0, ref)
    changing = asyncio.ensure_future(change)
    numbers = itertools.count(1)

    async def one_after_another(resolver: CredentialResolver) -> dict[int, bool]:
        made: dict[int, bool] = {}
        while not changing.done() or not made:
            number = next(numbers)
            made[number] = await lobby.park(number, ref, resolver)
            await asyncio.sleep(0.005)  # SQLite lets no others in where one write follows another at once
        return made

    found = await asyncio.gather(*(one_after_another(each) for each in resolvers * 2))
    await changing
    parked = {number: each for made in found for number, each in made.items()}
    last = await lobby.park(len(parked) + 1, ref)
    return [first, *(parked[number] for number in sorted(parked)), last]


@pytest.mark.parametrize("again", range(2))
async def test_who_is_registered_while_somebody_connects_is_woken_once_or_told_that_it_works(
    lobby: Lobby, again: int
) -> None:
    await lobby.die()
    outcomes = await around(lobby, lobby.connect())
    assert outcomes[0]
    assert not outcomes[-1]
    assert await lobby.woken() == tickets(outcomes)
    assert await lobby.waiting() == []


@pytest.mark.parametrize("again", range(2))
async def test_who_is_registered_while_another_account_is_bound_is_woken_once_or_told_that_it_works(
    lobby: Lobby, again: int
) -> None:
    await lobby.die()
    await lobby.connect("other")
    outcomes = await around(lobby, lobby.bind("other"))
    assert not outcomes[-1]
    assert await lobby.woken() == tickets(outcomes)
    assert await lobby.waiting() == []


@pytest.mark.parametrize("again", range(2))
async def test_who_is_registered_while_a_subject_gets_another_account_is_woken_once_or_told_that_it_works(
    lobby: Lobby, again: int
) -> None:
    await lobby.die()
    await lobby.connect("other")
    other = await lobby.connecting.bench.open("other")
    outcomes = await around(lobby, lobby.bind_subject(other), ANNS)
    assert not outcomes[-1]
    assert await lobby.woken() == tickets(outcomes)
    assert await lobby.waiting() == []


@pytest.mark.parametrize("again", range(2))
async def test_who_is_registered_while_the_definition_is_corrected_waits_for_a_token_that_is_asked_for(
    lobby: Lobby, again: int
) -> None:
    await lobby.die()
    bench = lobby.connecting.bench
    corrected = authorization_code(lobby.connecting.server, scopes=["read", "write"])
    outcomes = await around(lobby, bench.define(corrected))
    row = await bench.row(lobby.main)
    assert not outcomes[-1]
    assert await lobby.waiting() == tickets(outcomes)
    assert (row.state, row.refresh_at is not None) == ("active", True)


async def test_profiles_are_applied_while_their_runs_are_registered_and_somebody_connects(lobby: Lobby) -> None:
    """All three want what another one holds; in one order, nobody waits for ever."""
    await lobby.die()

    async def apply_again_and_again() -> None:
        for account in ("other", "main") * 4:
            await lobby.bind(account)

    outcomes, *_ = await asyncio.gather(
        asyncio.gather(*(lobby.park(number) for number in range(AT_ONCE))), apply_again_and_again(), lobby.connect()
    )
    assert sorted({*await lobby.woken(), *await lobby.waiting()}) == tickets(outcomes)
    assert await lobby.waiting() == []


async def test_definitions_are_applied_while_an_account_is_revived(lobby: Lobby) -> None:
    """Both lock its token and its runs: in one order, neither waits for the other for ever."""
    await lobby.die()
    await lobby.park(1)
    bench = lobby.connecting.bench
    await bench.set_token_row(lobby.main, state="active", last_error="permanent_client:invalid_client")
    changed = authorization_code(lobby.connecting.server, scopes=["read", "write"])
    integration = {"kind": "integration", "key": "of-main", "name": "x", "base_url": "https://api.example.com"}
    profile = {"kind": "profile", "name": PROFILE, "adapters": {"shop": "other"}}
    documents = "\n---\n".join(json.dumps(each) for each in (profile, {**integration, "auth": changed}))
    async with bench.database.write() as connection:
        await lock_token(connection, lobby.main.account.id)
        applying = asyncio.create_task(_apply(lobby, documents))
        await asyncio.wait({applying}, timeout=0.5)  # as far as it gets
        await wake_for_account(connection, lobby.main.account.id, "it works")
    await applying
    assert await lobby.woken() == [ticket(1)]


async def _apply(lobby: Lobby, documents: str) -> None:
    await lobby.connecting.bench.definitions.apply(load_text(documents, "test.yaml"))


async def test_an_account_is_deleted_while_runs_of_its_subject_are_registered(lobby: Lobby) -> None:
    await lobby.bind("other")
    await lobby.die()
    parks = [asyncio.create_task(lobby.park(number, ANNS)) for number in range(AT_ONCE)]
    await asyncio.wait(parks, return_when=asyncio.FIRST_COMPLETED)
    await lobby.connecting.bench.accounts.delete("main")
    outcomes = await asyncio.gather(*parks, return_exceptions=True)
    assert {type(each) for each in outcomes} <= {bool, Unbound}
    assert await lobby.woken() == tickets([each is True for each in outcomes])
    assert await lobby.waiting() == []


async def test_a_run_that_is_registered_twice_is_woken_once(lobby: Lobby) -> None:
    await lobby.die()
    assert await lobby.park(1)
    assert await lobby.park(1)
    await lobby.connect()
    assert await lobby.woken() == [ticket(1)]


async def test_a_run_whose_account_works_is_not_registered(lobby: Lobby) -> None:
    assert not await lobby.park(1)
    assert await lobby.waiting() == []


async def test_a_run_whose_reference_leads_nowhere_is_told(lobby: Lobby) -> None:
    async with lobby.connecting.bench.database.write() as connection:
        await unbind_subject(connection, PROFILE, "of-subjects", "ann")
    with pytest.raises(CredentialError):
        await lobby.park(1, ANNS)


async def test_a_deleted_account_wakes_its_runs(lobby: Lobby) -> None:
    await lobby.die()
    await lobby.park(1, ANNS)
    await lobby.bind("other")
    await lobby.connecting.bench.accounts.delete("main")
    assert await lobby.woken() == [ticket(1)]


async def test_another_binding_wakes_its_own_subjects_runs_alone(lobby: Lobby) -> None:
    await lobby.die()
    bobs = ANNS.model_copy(update={"subject": "bob"})
    async with lobby.connecting.bench.database.write() as connection:
        await bind_subject(connection, PROFILE, "of-subjects", "bob", lobby.main.account.id)
    await lobby.park(1, ANNS)
    await lobby.park(2, bobs)
    await lobby.park(3, SHOP)
    await lobby.bind_subject(lobby.main)
    assert await lobby.woken() == [ticket(1)]


async def test_a_profile_that_is_applied_unchanged_wakes_nobody(lobby: Lobby) -> None:
    await lobby.die()
    await lobby.park(1)
    await lobby.bind("main")
    assert await lobby.woken() == []


async def test_another_variable_of_a_profile_wakes_nobody(lobby: Lobby) -> None:
    await lobby.die()
    await lobby.park(1)
    await lobby.bind("main", region="eu")
    assert await lobby.woken() == []


async def test_an_adapter_that_is_bound_to_another_account_wakes_its_own_runs_alone(lobby: Lobby) -> None:
    await lobby.die()
    await lobby.park(1)
    await lobby.park(2, ANNS)
    await lobby.bind("other")
    assert await lobby.woken() == [ticket(1)]


async def test_who_waited_as_long_as_it_may_is_forgotten_some_time_later(lobby: Lobby) -> None:
    await lobby.die()
    await lobby.park(1)
    await lobby.park(2)
    database = lobby.connecting.bench.database
    async with database.write() as connection:
        for number, seconds in ((1, SLACK - 60), (2, SLACK + 60)):
            ended = update(waiters).where(waiters.c.ticket == ticket(number)).values(until=db_now() - seconds)
            await connection.execute(ended)
        forgotten = await forget_waiters(connection)
    assert (forgotten, await lobby.waiting()) == (1, [ticket(1)])


async def test_a_registered_run_says_since_when_and_how_long_it_waits(lobby: Lobby) -> None:
    await lobby.die()
    await lobby.park(1)
    async with lobby.connecting.bench.database.read() as connection:
        row = (await connection.execute(select(waiters, db_now().label("now")))).one()
    assert timedelta(seconds=row.until - row.since) == pytest.approx(timedelta(seconds=60), abs=timedelta(seconds=1))
    assert row.since == pytest.approx(row.now, abs=30)
    assert (row.workflow_id, row.profile, row.adapter, row.subject) == ("run-1", PROFILE, "shop", None)

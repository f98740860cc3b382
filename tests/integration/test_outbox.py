"""What is to be sent: taken by one at a time, given back when that one died, on SQLite and on PostgreSQL."""

import asyncio

import pytest
from sqlalchemy import select, update

from storage.database import Database
from storage.outbox import NOTIFICATION, WAKE, Parcel, new_row, post, put_back, sent, something_due, take
from storage.schema import outbox
from tests.fixtures.refreshing import Bench


@pytest.fixture
def database(bench: Bench) -> Database:
    """An empty one of each kind."""
    return bench.database


async def posted(database: Database, *ids: str, kind: str = WAKE, after: str | None = None) -> None:
    async with database.write() as connection:
        await post(connection, [new_row(each, kind, "{}", after_wakes=after) for each in ids])


async def taken(database: Database, kind: str = WAKE, *, seconds: float = 60.0, limit: int = 50) -> list[Parcel]:
    async with database.write() as connection:
        return list(await take(connection, kind, seconds=seconds, limit=limit))


async def was_sent(database: Database, *ids: str, counted: bool = True) -> None:
    async with database.write() as connection:
        await sent(connection, ids, counted=counted)


async def pass_time(database: Database, seconds: float) -> None:
    async with database.write() as connection:
        await connection.execute(update(outbox).values(due_at=outbox.c.due_at - seconds))


async def test_what_one_has_taken_nobody_else_takes_while_its_time_lasts(database: Database) -> None:
    await posted(database, "a")
    first, second = await taken(database), await taken(database)
    await pass_time(database, 59)
    assert ([each.id for each in first], second, await taken(database)) == (["a"], [], [])


async def test_what_was_taken_by_one_that_died_is_taken_again_after_its_time(database: Database) -> None:
    await posted(database, "a")
    await taken(database)
    await pass_time(database, 61)
    assert [each.id for each in await taken(database)] == ["a"]


async def test_many_who_take_at_once_share_what_there_is(database: Database) -> None:
    ids = [f"{number:03}" for number in range(60)]
    await posted(database, *ids)
    found = await asyncio.gather(*(taken(database, limit=7) for _ in range(16)))
    again = await taken(database, limit=60)  # who found all others locked has taken less
    assert sorted(each.id for parcels in [*found, again] for each in parcels) == ids


async def test_a_notification_waits_until_the_last_of_its_signals_was_sent_and_counts_those_that_arrived(
    database: Database,
) -> None:
    await posted(database, "n", kind=NOTIFICATION)
    await posted(database, "a", "b", "c", after="n")
    await was_sent(database, "a", "b")
    before = await taken(database, NOTIFICATION)
    await was_sent(database, "c", counted=False)
    assert before == []
    assert [(each.id, each.woken) for each in await taken(database, NOTIFICATION)] == [("n", 2)]


async def test_signals_that_are_noted_as_sent_at_once_are_all_counted(database: Database) -> None:
    await posted(database, "n", kind=NOTIFICATION)
    ids = [f"{number:02}" for number in range(20)]
    await posted(database, *ids, after="n")
    await asyncio.gather(*(was_sent(database, each) for each in ids))
    assert [each.woken for each in await taken(database, NOTIFICATION)] == [20]


async def test_a_signal_that_is_noted_as_sent_twice_counts_once(database: Database) -> None:
    await posted(database, "n", kind=NOTIFICATION)
    await posted(database, "a", after="n")
    await was_sent(database, "a")
    await was_sent(database, "a")
    assert [each.woken for each in await taken(database, NOTIFICATION)] == [1]


async def test_what_could_not_be_sent_is_due_again_later_and_knows_who_was_told(database: Database) -> None:
    await posted(database, "n", kind=NOTIFICATION)
    async with database.write() as connection:
        await put_back(connection, "n", 10, {"log", "webhook"})
    before = await taken(database, NOTIFICATION)
    await pass_time(database, 11)
    [after] = await taken(database, NOTIFICATION)
    assert before == []
    assert (after.failures, after.told) == (1, frozenset({"log", "webhook"}))


async def test_nothing_is_sent_of_a_transaction_that_came_to_nothing(database: Database) -> None:
    async def post_and_break_off() -> None:
        async with database.write() as connection:
            await post(connection, [new_row("a", WAKE, "{}")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await post_and_break_off()
    async with database.read() as connection:
        assert not await something_due(connection, WAKE)
        assert (await connection.execute(select(outbox))).all() == []

"""How long anybody waits for the database: for a server that says nothing, for a lock, for a connection."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.migrate import LOCK_ID


@pytest.fixture
async def brief(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A PostgreSQL database whose statements may take a fifth of a second."""
    monkeypatch.setattr("storage.database.STATEMENT_SECONDS", 0.2)
    database = Database(postgresql_url)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE held (id INTEGER PRIMARY KEY)"))
        await connection.execute(text("INSERT INTO held VALUES (1), (2)"))
    yield database
    await database.dispose()


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("way", ["read", "write"])
async def test_a_server_that_says_nothing_is_given_up(brief: Database, way: Literal["read", "write"]) -> None:
    async def ask() -> None:
        async with getattr(brief, way)() as connection:
            with stopped(await connection.scalar(text("SELECT pg_backend_pid()"))):
                await connection.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable, match="no answer"):
        await asyncio.wait_for(ask(), 10)


async def test_a_statement_that_takes_long_is_ended_and_its_connection_used_again(brief: Database) -> None:
    before = await backend(brief)
    with pytest.raises(DatabaseUnavailable, match=r"statement timeout\): the server is slow.*: try again"):
        async with brief.read() as connection:
            await connection.execute(text("SELECT pg_sleep(20)"))
    assert await backend(brief) == before


async def backend(database: Database) -> object:
    async with database.read() as connection:
        return await connection.scalar(text("SELECT pg_backend_pid()"))


LOCK = text("SELECT id FROM held WHERE id = :id FOR UPDATE")


async def test_a_lock_that_somebody_holds_for_long_is_told(brief: Database) -> None:
    async with brief.write() as holder:
        await holder.execute(LOCK, {"id": 1})
        with pytest.raises(DatabaseUnavailable, match=r"timeout\): .*another transaction holds what is needed"):
            async with brief.write() as connection:
                await connection.execute(LOCK, {"id": 1})


async def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE held (id INTEGER PRIMARY KEY)"))
        await connection.execute(text("INSERT INTO held VALUES (1), (2)"))
    both = asyncio.Barrier(2)

    async def take(first: int, second: int) -> None:
        async with database.write() as connection:
            await connection.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
            await connection.execute(LOCK, {"id": first})
            await both.wait()
            await connection.execute(LOCK, {"id": second})

    ends = await asyncio.gather(take(1, 2), take(2, 1), return_exceptions=True)

    assert [type(end) for end in ends if end] == [DatabaseUnavailable]
    assert "deadlock detected" in str([end for end in ends if end])
    await database.dispose()


async def test_a_migration_may_take_longer_than_a_statement(brief: Database) -> None:
    async with brief.write() as holder:
        await _hold_migrations(holder)
        waiting = asyncio.create_task(brief.migrate())
        await asyncio.sleep(0.5)
        assert not waiting.done()
    await waiting
    async with brief.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


async def _hold_migrations(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})


async def test_who_gets_no_connection_in_time_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.database.POOL_SIZE", 1)
    monkeypatch.setattr("storage.database.POOL_OVERFLOW", 1)
    monkeypatch.setattr("storage.database.POOL_SECONDS", 0.05)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/tieline.db")
    async with database.read(), database.read():
        with pytest.raises(DatabaseUnavailable, match=r"all 2 connections were busy"):
            async with database.read():
                pytest.fail("there was a third connection")
    await database.dispose()

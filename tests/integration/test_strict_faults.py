"""The worst instants of a renewal, at the strict server: a kill without grace, and a database that takes nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import text

from auth.credential import OpenAccount
from auth.errors import NeedsReconnect
from auth.refresh import Refresher
from storage.accounts import NEEDS_RECONNECT
from storage.database import Database
from tests.fixtures.authorization_server import TOKEN, StrictServer
from tests.fixtures.http import Answer
from tests.fixtures.refreshing import PATIENT, Bench
from tests.fixtures.token_processes import Child
from tests.fixtures.waiting import until


async def test_a_kill_without_grace_leaves_the_old_token_in_use_and_asks_once_more_and_never_again(
    bench: Bench, child: Child, connected: OpenAccount, strict_server: StrictServer
) -> None:
    await bench.nearly_expire(connected)
    await child.order(bench, dies="before_storing_the_answer")
    await child.killed()
    await bench.end_lease(connected)
    served = [(await bench.process().ensure(connected)).token for _ in range(3)]
    account = await bench.account(connected)
    assert served == ["access-0"] * 3
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "lost_reply")
    assert [request["refresh_token"] for request in strict_server.token_requests] == ["refresh-0"] * 2

    await bench.expire(connected)
    with pytest.raises(NeedsReconnect, match="lost_reply"):
        await bench.process().ensure(connected)
    assert len(strict_server.token_requests) == 2


@contextlib.asynccontextmanager
async def unwritable(database: Database) -> AsyncIterator[None]:
    """Locked by somebody else (SQLite), or read-only as a standby is (PostgreSQL): both for real."""
    if database.dialect == "sqlite":
        other = Database(database.engine.url.render_as_string())
        async with other.write():
            yield
        await other.dispose()
        return
    await _set_read_only(database, "on")
    try:
        yield
    finally:
        await _set_read_only(database, "off")


async def _set_read_only(database: Database, value: str) -> None:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()

    async def effective() -> bool:
        async with database.read() as opened:
            return bool(await opened.scalar(text("SHOW default_transaction_read_only")) == value)

    await until(effective)


@pytest.fixture
async def impatient(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The same database, whose lock is waited for by the second."""
    monkeypatch.setattr("storage.database.BUSY_SECONDS", 1)
    database = Database(bench.url)
    yield database
    await database.dispose()


async def test_an_answer_is_kept_by_its_process_while_nothing_can_be_written_and_stored_when_it_can(
    bench: Bench,
    impatient: Database,
    connected: OpenAccount,
    strict_server: StrictServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    arrived, answered = asyncio.Event(), asyncio.Event()

    async def slow(process: Callable[[], Awaitable[Answer]], _: object) -> Answer:
        arrived.set()
        await answered.wait()
        return await process()

    strict_server.fault(TOKEN, slow)
    renewing = asyncio.create_task(Refresher(impatient, bench.vault, bench.http, PATIENT).ensure(connected))
    await arrived.wait()
    async with unwritable(bench.database):
        answered.set()
        await until(lambda: "its token could not be stored yet" in caplog.text)
        assert not renewing.done()
    state = await renewing
    assert state.token == strict_server.newest.access_token
    assert (await bench.stored(connected)).refresh_token == strict_server.newest.refresh_token
    assert (strict_server.memory.redemptions, strict_server.memory.reuses) == (1, 0)

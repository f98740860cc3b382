"""Whether finding what is due, and claiming it, costs the same however many accounts there are: against 1,000.

Also where all of them are due at once, at one host that is asked or left alone.
"""

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from auth.sweep import PER_HOST, DueAccounts
from benchmarks.measure import Comparison, Work, compare, milliseconds
from benchmarks.stage import Stage
from storage.database import Database
from storage.due_tokens import due_tokens
from storage.token_hosts import host_failed, shut_host
from storage.tokens import claim_token
from tests.fixtures.databases import new_postgresql_database, postgresql_server
from tests.fixtures.many_tokens import fill

FEW = 1_000
MANY = {"100k": 100_000, "1M": 1_000_000}
DUE = 100
FLAT = "≤ 1.5"


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    async def sqlite(name: str) -> str:
        return f"sqlite+aiosqlite:///{stage.folder}/{name}.db"

    async for comparison in _on("SQLite", sqlite):
        yield comparison
    with postgresql_server() as address:
        async for comparison in _on("PostgreSQL", lambda name: new_postgresql_database(address)):
            yield comparison


async def _on(kind: str, new_url: Callable[[str], Awaitable[str]]) -> AsyncIterator[Comparison]:
    for prefix, works in _WORKS.items():
        async with contextlib.AsyncExitStack() as stack:
            few = await stack.enter_async_context(_filled(await new_url(f"{prefix}-few"), FEW, prefix))
            for shown, count in MANY.items():
                many = await stack.enter_async_context(_filled(await new_url(f"{prefix}-{shown}"), count, prefix))
                for name, (work, calls) in works.items():
                    subject, base = milliseconds(work(many), calls=calls), milliseconds(work(few), calls=calls)
                    yield await compare(f"{name}, {kind}, {shown}", subject, base, unit=" ms", goal=FLAT)


@contextlib.asynccontextmanager
async def _filled(url: str, count: int, prefix: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        await database.migrate()
        await (fill(database, count, due=DUE) if prefix == SCATTERED else fill(database, count, due=count, hosts=1))
        if prefix == SHUT:
            async with database.write() as connection:
                await host_failed(connection, "host-0")
                await shut_host(connection, "host-0", 24 * 3600)
        yield database
    finally:
        await database.dispose()


def _page(database: Database) -> Work:
    async def work() -> None:
        async with database.read() as connection:
            assert len(await due_tokens(connection, limit=DUE)) == DUE, "the same number is due on either side"

    return work


def _claim(database: Database) -> Work:
    """By a lease that ends at once, so that there is always something to claim."""
    numbers = itertools.cycle(range(DUE))

    async def work() -> None:
        account_id = f"{next(numbers):032d}"
        async with database.write() as connection:
            fence = await claim_token(
                connection,
                account_id,
                seen_version=1,
                owner="bench",
                lease=0.0,
                attempt_id="bench",
                fingerprint=None,
                host="auth.example.com",
                client="bench",
            )
        assert fence is not None, "it was claimed"

    return work


def _crowd(database: Database) -> Work:
    """All are due at one host."""

    async def work() -> None:
        [batch] = await DueAccounts(database).page()
        assert len(batch) == PER_HOST, "a page holds no more of one host"

    return work


def _shut(database: Database) -> Work:
    """The same, and the host is left alone."""

    async def work() -> None:
        assert await DueAccounts(database).page() == [], "nobody else waits"

    return work


SCATTERED, CROWD, SHUT = "due", "crowd", "shut"
_WORKS: Mapping[str, Mapping[str, tuple[Callable[[Database], Work], int]]] = {
    SCATTERED: {"page of 100 due": (_page, 100), "claim": (_claim, 100)},
    CROWD: {"page, all due at one host": (_crowd, 50)},
    SHUT: {"page, its host shut": (_shut, 50)},
}
"""What is measured on which kind of database, and how often in a round."""

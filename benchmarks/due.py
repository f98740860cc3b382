"""Whether finding what is due, and claiming it, costs the same however many accounts there are: against 1,000."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping

from benchmarks.measure import Comparison, Work, compare, milliseconds
from benchmarks.stage import Stage
from storage.database import Database
from storage.due_tokens import due_tokens
from storage.tokens import claim_token
from tests.fixtures.databases import new_postgresql_database, postgresql_server
from tests.fixtures.many_tokens import fill

FEW = 1_000
MANY = {"100k": 100_000, "1M": 1_000_000}
DUE = 100
FLAT = "≤ 1.5"


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    urls = {count: f"sqlite+aiosqlite:///{stage.folder}/due-{count}.db" for count in (FEW, *MANY.values())}
    async for comparison in _on("SQLite", urls):
        yield comparison
    with postgresql_server() as address:
        urls = {count: await new_postgresql_database(address) for count in (FEW, *MANY.values())}
        async for comparison in _on("PostgreSQL", urls):
            yield comparison


async def _on(kind: str, urls: Mapping[int, str]) -> AsyncIterator[Comparison]:
    async with contextlib.AsyncExitStack() as stack:
        few = await stack.enter_async_context(_filled(urls[FEW], FEW))
        for shown, count in MANY.items():
            many = await stack.enter_async_context(_filled(urls[count], count))
            for name, work in {"page of 100 due": _page, "claim": _claim}.items():
                subject, base = milliseconds(work(many), calls=100), milliseconds(work(few), calls=100)
                yield await compare(f"{name}, {kind}, {shown}", subject, base, unit=" ms", goal=FLAT)


@contextlib.asynccontextmanager
async def _filled(url: str, count: int) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        await database.migrate()
        await fill(database, count, due=DUE)
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

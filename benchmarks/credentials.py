"""What it takes to get a credential, in units of one pooled HTTP call: from the cache, and from the database."""

import itertools
from collections.abc import AsyncIterator, Callable

from auth.refresh import Refresher
from auth.resolver import SECONDS_KEPT, CredentialResolver
from benchmarks.by_hand import pooled_call
from benchmarks.measure import Comparison, Work, compare, milliseconds
from benchmarks.stage import REF, Stage, installed
from net.client import GuardedClient
from net.egress import EgressPolicy
from runtime.assembly import Stores
from tests.fixtures.databases import new_postgresql_database, postgresql_server


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    async for comparison in _on("SQLite", stage.stores, stage.url):
        yield comparison
    with postgresql_server() as address:
        url = await new_postgresql_database(address)
        settings = stage.stores.settings.model_copy(update={"database_url": url, "key_file": stage.folder / "pg.json"})
        async with installed(settings, stage.port) as stores:
            async for comparison in _on("PostgreSQL", stores, stage.url):
                yield comparison


async def _on(database: str, stores: Stores, url: str) -> AsyncIterator[Comparison]:
    late = itertools.count(step=2 * SECONDS_KEPT)
    variants = {"cached": _resolving(stores, lambda: 0.0), "uncached": _resolving(stores, lambda: next(late))}
    async with pooled_call(url) as call:
        for name, work in variants.items():
            subject, base = milliseconds(work, calls=400), milliseconds(call, calls=400)
            yield await compare(f"resolve, {database}, {name}", subject, base, unit=" ms")


def _resolving(stores: Stores, clock: Callable[[], float]) -> Work:
    http = GuardedClient(EgressPolicy())  # an API token is never renewed: nothing is sent
    refresher = Refresher(stores.database, stores.vault, http)
    resolver = CredentialResolver(stores.database, stores.vault, stores.definitions, refresher, clock)
    return lambda: resolver.resolve(REF)

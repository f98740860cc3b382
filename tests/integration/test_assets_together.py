"""Many assets that are put at once share transactions, and nothing else: each has its own outcome."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.assets import USER, AssetStore
from storage.assets.together import Together
from storage.database import Database
from storage.errors import AssetMissing
from tests.fixtures.assets import pieces


async def nothing(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT 1"))


def failing(error: Exception) -> Callable[[AsyncConnection], Awaitable[None]]:
    async def work(_: AsyncConnection) -> None:
        raise error

    return work


async def test_files_put_at_once_share_transactions(store: AssetStore, database: Database) -> None:
    commits: list[object] = []
    event.listen(database.engine.sync_engine, "commit", commits.append)
    contents = [str(number).encode() for number in range(40)]

    kept = await asyncio.gather(
        *(store.put(pieces(each), name="a", media_type="text/plain", holder=USER) for each in contents)
    )

    assert {each.sha256 for each in await store.list()} == {each.sha256 for each in kept}
    assert len(commits) < len(contents)


@pytest.mark.parametrize("error", [AssetMissing("it was collected"), ValueError("it cannot be stored")])
async def test_who_fails_among_many_fails_alone(disk_database: Database, error: Exception) -> None:
    together = Together(disk_database)
    works = [together.write(str(number), nothing) for number in range(3)]

    told = await asyncio.gather(*works, together.write("3", failing(error)), return_exceptions=True)

    assert told == [None, None, None, error]


async def test_who_leaves_does_not_take_the_others_along(disk_database: Database) -> None:
    together, begun, never = Together(disk_database), asyncio.Event(), asyncio.Event()

    async def hang(_: AsyncConnection) -> None:
        begun.set()
        await never.wait()

    leader = asyncio.create_task(together.write("0", hang))
    await begun.wait()
    others = [asyncio.create_task(together.write(str(number), nothing)) for number in range(1, 4)]
    leader.cancel()

    assert await asyncio.wait_for(asyncio.gather(*others), 10) == [None, None, None]
    assert leader.cancelled()

"""One transaction for many: whoever comes while one is under way goes into the next, with all who came meanwhile.

A run that fetches a thousand small files would wait for the disk two thousand times.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.errors import AssetMissing, DatabaseUnavailable

Work = Callable[[AsyncConnection], Awaitable[None]]
Works = Mapping[asyncio.Future[None], tuple[str, Work]]
MOST = 64
"""In one transaction, so that none holds its locks for long."""


class Together:
    """The writers of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._alone = asyncio.Lock()
        self._waiting: dict[asyncio.Future[None], tuple[str, Work]] = {}

    async def write(self, sha256: str, work: Work) -> None:
        """Returns when what this work changed is committed. It is about the row of one asset.

        Raises:
            AssetMissing, and whatever else this work alone ends with: others are not told of it.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[done] = sha256, work
        try:
            async with self._alone:
                while not done.done():
                    await self._write_some()
        finally:
            self._waiting.pop(done, None)
            if not done.cancel():
                done.exception()  # looked at, also when nobody waits for it any more
        await done

    async def _write_some(self) -> None:
        some = dict(itertools.islice(self._waiting.items(), MOST))
        try:
            self._tell(await self._transaction(some))
        except Exception as error:
            await self._one_by_one(some, error)

    async def _one_by_one(self, works: Works, error: Exception) -> None:
        """What failed together may be the fault of one of them; not so a database that cannot be reached."""
        for done, work in works.items():
            try:
                if len(works) == 1 or isinstance(error, DatabaseUnavailable):
                    raise error
                self._tell(await self._transaction({done: work}))
            except Exception as own:
                self._tell({done: own})

    def _tell(self, outcomes: Mapping[asyncio.Future[None], Exception | None]) -> None:
        for done, outcome in outcomes.items():
            self._waiting.pop(done, None)
            if done.cancelled():
                continue
            if outcome is None:
                done.set_result(None)
            else:
                done.set_exception(outcome)

    async def _transaction(self, works: Works) -> Mapping[asyncio.Future[None], Exception | None]:
        """In the same order everywhere: two processes that lock the same rows in turn would wait for each other."""
        outcomes: dict[asyncio.Future[None], Exception | None] = {}
        async with self._database.write() as connection:
            for done, (_, work) in sorted(works.items(), key=lambda each: each[1][0]):
                try:
                    await work(connection)
                    outcomes[done] = None
                except AssetMissing as error:
                    outcomes[done] = error
        return outcomes

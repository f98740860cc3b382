"""A claim whose holder was killed is followed within seconds, while its provider may forgive a second use of the token.

Every worker looks for itself. The sweep would find it too, but it comes every half minute, and waits for the batch that
the killed worker had until that is noticed; nobody calls where the access token is still good.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from auth.ahead import RenewAhead
from storage.database import Database
from storage.due_tokens import abandoned
from storage.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks."""


class Following:
    """Renews what was abandoned; one for each worker."""

    def __init__(self, database: Database, renew: RenewAhead) -> None:
        self._database = database
        self._renew = renew

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look until left; an answer that is waited for then is stored all the same."""
        task = asyncio.create_task(self._again_and_again())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def follow(self) -> int:
        """Renew the tokens whose claims ran out; returns how many there were. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            found = await abandoned(connection)
        if found:
            await self._renew.batch(found)
        return len(found)

    async def _again_and_again(self) -> None:
        while True:
            try:
                await self.follow()
            except DatabaseUnavailable:
                pass  # whatever else a worker does tells of it
            except Exception:
                logger.exception("following what was abandoned ended in an error; it is tried again")
            await asyncio.sleep(EVERY)

"""A claim that lives as long as its holder does: it is prolonged every few seconds, and by nobody else.

So a killed holder is followed within seconds, while its provider still forgives a refresh token that is spent twice;
and a slow one, or one whose database's clock steps forward, is not.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

from auth.refresh_plan import Timing
from auth.token_claim import Claim
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.tokens import prolong_lease

logger = logging.getLogger(__name__)


class Lease:
    """What is known here of one claim. `taken_at`: monotonic, before it was made."""

    def __init__(self, database: Database, claim: Claim, timing: Timing, taken_at: float) -> None:
        self._database = database
        self._claim = claim
        self._timing = timing
        self._until = taken_at + timing.lease
        self._lost = False
        self._done = asyncio.Event()
        self.ends = taken_at + timing.longest
        """Monotonic: when its holder gives up what it does under it."""

    @property
    def held(self) -> bool:
        """Whether nobody else can have claimed the account: only then may anything be sent."""
        return not self._lost and time.monotonic() < self._until

    @contextlib.asynccontextmanager
    async def prolonged(self) -> AsyncIterator[None]:
        """Prolong it as long as the block lasts."""
        task = asyncio.create_task(self._prolong(), name=f"prolong {self._claim.seen.row.account_id}")
        try:
            yield
        except BaseException:
            task.cancel()
            raise
        finally:
            self._done.set()
            await asyncio.wait({task})

    async def _prolong(self) -> None:
        row = self._claim.seen.row
        while not self._lost and time.monotonic() < self.ends and not await self._over(self._timing.pulse):
            begun_at = time.monotonic()
            try:
                async with self._database.write() as connection:
                    held = await prolong_lease(
                        connection, row.account_id, self._claim.owner, self._claim.fence, self._timing.lease
                    )
            except DatabaseUnavailable as error:
                logger.warning("account id %s: its claim could not be prolonged: %s", row.account_id, error)
                continue
            self._lost = not held
            self._until = begun_at + self._timing.lease

    async def _over(self, seconds: float) -> bool:
        """Wait; whether the block ended meanwhile."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), seconds)
        return self._done.is_set()

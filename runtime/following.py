"""A claim whose holder was killed is followed within seconds, while its provider may forgive a second use of the token.

Every worker looks for itself. The sweep would find it too, but it comes every half minute, and waits for the batch that
the killed worker had until that is noticed; nobody calls where the access token is still good.
"""

from contextlib import AbstractAsyncContextManager

from auth.ahead import RenewAhead
from runtime.repeating import repeating
from storage.database import Database
from storage.due_tokens import abandoned

EVERY = 2.0
"""Seconds between two looks."""


class Following:
    """Renews what was abandoned; one for each worker."""

    def __init__(self, database: Database, renew: RenewAhead) -> None:
        self._database = database
        self._renew = renew

    def running(self) -> AbstractAsyncContextManager[None]:
        """Look until left; an answer that is waited for then is stored all the same."""
        return repeating(((self._follow_and_pause, EVERY),))

    async def follow(self) -> int:
        """Renew the tokens whose claims ran out; returns how many there were. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            found = await abandoned(connection)
        if found:
            await self._renew.batch(found)
        return len(found)

    async def _follow_and_pause(self) -> int:
        await self.follow()
        return 0  # at once again would be in vain: what could not be renewed has to wait

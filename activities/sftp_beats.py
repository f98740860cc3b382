"""Tells Temporal how far an attempt has got: now and then by itself, and durably before what cannot be taken back."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import activity
from temporalio.client import AsyncActivityCancelledError
from temporalio.service import RPCError, RPCStatusCode

from activities.progress import Progress
from activities.sftp_judge import Refused

CANCELLED_WITHIN = 60.0
"""Seconds in which the worker learns that its attempt is not wanted any more."""

STALE = 10.0
"""Seconds without an answer of Temporal's after which an attempt asks before it goes on."""

Record = Callable[[dict[str, Any]], Awaitable[None]]


async def record_at_temporal(details: dict[str, Any]) -> None:
    """Return when Temporal holds these details: a heartbeat of the worker's own waits for seconds before it is sent.

    An attempt that Temporal has given up, or that is to be cancelled, does not come back from here: another one may be
    at the same files. That holds for the moment of the answer only. A process may stand still right behind it, so that
    what follows must do no harm then either: writes go to names that are this attempt's own, and a rename that comes
    too late finds nothing to rename.
    """
    activity.heartbeat(details)  # else an older one that waits would come after
    handle = activity.client().get_async_activity_handle(task_token=activity.info().task_token)
    try:
        await handle.heartbeat(details)
        return
    except AsyncActivityCancelledError:
        pass
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise Refused("temporal_unreachable", f"Temporal does not answer ({error.status.name})") from None
    await asyncio.sleep(CANCELLED_WITHIN)
    raise TimeoutError("the attempt was given up, and its worker was not told")


class Beats:
    """The heartbeats of one attempt."""

    def __init__(
        self,
        progress: Progress,
        record: Record = record_at_temporal,
        clock: Callable[[], float] = time.monotonic,
        stale: float = STALE,
    ) -> None:
        self.progress = progress
        self.attempt = secrets.token_hex(4)
        """Tells this attempt from all others, as numbers do not: they begin anew when a run goes on after a wait."""
        self._record = record
        self._clock = clock
        self._stale = stale
        self._answered = 0.0
        self._begun = False
        self._lock = asyncio.Lock()
        self._beginning = asyncio.Lock()
        self._wanted = 0
        self._recorded = 0

    @contextmanager
    def running(self, interval: float) -> Iterator[None]:
        """Beat while the body runs."""
        loop = asyncio.get_running_loop()
        handle = loop.call_later(interval, lambda: beat())

        def beat() -> None:
            nonlocal handle
            activity.heartbeat(self.details())
            handle = loop.call_later(interval, beat)

        try:
            yield
        finally:
            handle.cancel()

    async def begin(self) -> None:
        """Return when Temporal knows that this attempt writes files: the next one looks for what it leaves."""
        async with self._beginning:
            if not self._begun:
                self.progress.begin(self.attempt)
                await self.record()
                self._begun = True

    @property
    def is_stale(self) -> bool:
        """Whether so much time has passed since Temporal last answered that this attempt may have been given up."""
        return self._clock() - self._answered > self._stale

    async def fence(self) -> None:
        """Before what would do harm when another attempt has taken over: after a silence Temporal is asked first."""
        if self.is_stale:
            await self.record()

    async def record(self) -> None:
        """Return when Temporal holds the progress as it is now. Files that ask at once are told of in one message."""
        self._wanted += 1
        mine = self._wanted
        async with self._lock:
            if self._recorded >= mine:
                return
            upto, asked_at = self._wanted, self._clock()
            await self._record(self.details())
            self._answered = asked_at
            self._recorded = upto

    def details(self) -> dict[str, Any]:
        """What the next attempt begins with."""
        return self.progress.told().model_dump(mode="json", exclude_defaults=True)

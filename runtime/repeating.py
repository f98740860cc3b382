"""What a worker does again and again beside its work, until it stops."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from storage.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

ENDS_WITHIN = 5.0
"""Seconds in which a worker that stops finishes what it is doing then; the rest is done by another."""

Turn = tuple[Callable[[], Awaitable[int]], float]
"""What to do, which returns whether there was anything, and the pause in seconds when there was nothing."""


@contextlib.asynccontextmanager
async def repeating(turns: Iterable[Turn]) -> AsyncIterator[None]:
    """Take each turn again and again while the body runs; what is under way then is finished."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(_again_and_again(act, seconds, stopping)) for act, seconds in turns]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait(tasks, timeout=ENDS_WITHIN)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again_and_again(act: Callable[[], Awaitable[int]], seconds: float, stopping: asyncio.Event) -> None:
    """At once where there was something, else after a pause; a database that is away comes back."""
    away = False
    while not stopping.is_set():
        try:
            busy = bool(await act())
            away = False
        except DatabaseUnavailable as error:
            if not away:
                logger.warning("what a worker does beside its work waits: %s", error)
            busy, away = False, True
        except Exception:
            logger.exception("what a worker does beside its work ended in an error; it is tried again")
            busy = False
        if not busy:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds)

"""Work on files, beside the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `asyncio.to_thread`; but who is cancelled leaves when the thread has: a descriptor that was closed under it
    could be another file's by then."""
    return await taken_from_thread(lambda: work(*args, **kwargs), lambda _: None)


async def taken_from_thread(work: Callable[[], T], give_back: Callable[[T], object]) -> T:
    """The same, for what must be given back, as an open file: who is cancelled never gets it."""
    task = asyncio.ensure_future(asyncio.to_thread(work))

    def untaken(done: asyncio.Task[T]) -> None:
        if not done.cancelled() and done.exception() is None:
            give_back(done.result())

    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(untaken)  # also if we are cancelled once more
        if not task.done():
            await asyncio.wait([task])
        raise

"""Locks between processes. The kernel frees them when the last holder ends, however it ends."""

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO


def try_lock(file: IO[str], *, shared: bool = False) -> bool:
    """Whether the lock is ours now; it stays ours until every copy of the descriptor is closed."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.asynccontextmanager
async def locked(path: Path, *, on_wait: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Hold the lock file while the body runs. `on_wait` is called once if another process holds it first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not try_lock(file):
            on_wait()
            while not try_lock(file):  # noqa: ASYNC110 (another process sets no event)
                await asyncio.sleep(0.1)
        yield

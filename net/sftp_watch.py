"""Time limits of an operation on a server: no answer for a while, and all of it.

A transfer that waits for its own source, or whose reader is slow, is not stalled: the first clock runs only while the
server owes an answer. Tasks inherit the limits of whoever starts them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Watch:
    """The clock that runs while answers are owed, and starts anew with each of them."""

    def __init__(self, stall: float, timer: asyncio.Timeout) -> None:
        self._stall = stall
        self._timer: asyncio.Timeout | None = timer
        self._owed = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch what is asked from here on, in this task and in those that it starts."""
        token = _WATCHES.set((*_WATCHES.get(), self))
        try:
            yield
        finally:
            self._timer = None
            _WATCHES.reset(token)

    def asked(self) -> None:
        self._owed += 1
        if self._owed == 1:
            self._move(self._stall)

    def answered(self) -> None:
        self._owed -= 1
        self._move(self._stall if self._owed else None)

    def _move(self, seconds: float | None) -> None:
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


_WATCHES: ContextVar[tuple[Watch, ...]] = ContextVar("_WATCHES", default=())


@contextmanager
def asking() -> Iterator[None]:
    """A request is under way."""
    told = _WATCHES.get()
    for watch in told:
        watch.asked()
    try:
        yield
    finally:
        for watch in told:
            watch.answered()

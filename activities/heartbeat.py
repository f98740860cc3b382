"""Heartbeats for calls that take long: so that a cancelled run reaches its activity and a dead worker is noticed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity

INTERVAL = 5.0
"""Seconds. A call that is answered sooner never beats, which keeps the common case free of it."""


@contextmanager
def heartbeats(interval: float = INTERVAL) -> Iterator[None]:
    """Beat every `interval` seconds while the body runs."""
    loop = asyncio.get_running_loop()
    handle = loop.call_later(interval, lambda: beat())

    def beat() -> None:
        nonlocal handle
        activity.heartbeat()
        handle = loop.call_later(interval, beat)

    try:
        yield
    finally:
        handle.cancel()

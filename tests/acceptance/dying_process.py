"""A real worker or gateway that ends by SIGKILL at a named point of parking, connecting or waking.

`python -m tests.acceptance.dying_process POINT NUMBER ARGUMENTS…`: the command `tieline ARGUMENTS…`, which dies when it
reaches the point for the NUMBERth time; the point `never` is not reached.
"""

import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import cli
from auth.exchange import Exchange
from auth.resolver import CredentialResolver
from runtime.delivery import Delivery
from tests.fixtures.processes import WorkerProcess, process_of
from tests.fixtures.tieline import Installation

POINTS: dict[str, tuple[type, str, bool]] = {
    "registered": (CredentialResolver, "park", True),
    "connected": (Exchange, "run", True),
    "taken": (Delivery, "_signal", False),
    "signalled": (Delivery, "_signal", True),
}
"""A run is registered, and its activity has not reported; a reconnect is committed; signals are taken from the outbox,
and none is sent; one is sent, and still in the outbox. True: after what the method does."""


@contextlib.asynccontextmanager
async def dying_process(
    installation: Installation, folder: Path, point: str, *arguments: str, number: int = 1, **settings: str
) -> AsyncIterator[WorkerProcess]:
    """Such a process, ready to serve."""
    program = ["-m", "tests.acceptance.dying_process", point, str(number), *arguments]
    async with process_of(program, installation, folder, **settings) as process:
        yield process


def dying(method: Callable[..., Awaitable[Any]], number: int, *, after: bool) -> Callable[..., Awaitable[Any]]:
    """The same method, at whose NUMBERth call the process dies."""
    left = itertools.count(number - 1, -1)

    async def method_or_death(*arguments: Any, **more: Any) -> Any:
        if not after and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await method(*arguments, **more)
        if after and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return method_or_death


if __name__ == "__main__":
    if sys.argv[1] != "never":
        owner, name, after = POINTS[sys.argv[1]]
        setattr(owner, name, dying(getattr(owner, name), int(sys.argv[2]), after=after))
    sys.argv[1:] = sys.argv[3:]
    cli.main()

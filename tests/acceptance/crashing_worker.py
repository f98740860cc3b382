"""A real worker process that ends by SIGKILL at a named point of its first call.

`before_send`: the credential is resolved, nothing has left. `after_reply`: the answer is here, Temporal does not know.
(`after_send` needs no help from inside: the external system kills the worker while it holds the request.)
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

from net.client import GuardedClient
from net.messages import OutboundRequest, SendTrace
from net.streamed import StreamedReply
from runtime.exit import leave
from tests.fixtures.forked import python
from tests.fixtures.processes import work_for_ever
from tests.fixtures.tieline import Installation

READY_SECONDS = 60


@contextlib.asynccontextmanager
async def crashing_worker(installation: Installation, point: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Such a process, ready to work."""
    command = ("-m", "tests.acceptance.crashing_worker", point)
    environment = os.environ | installation.environment()
    process = await python(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), READY_SECONDS) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


_stream = GuardedClient.stream


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.asynccontextmanager
async def _dying_before(
    self: GuardedClient, request: OutboundRequest, *, trace: SendTrace | None = None
) -> AsyncIterator[StreamedReply]:
    _die()
    async with _stream(self, request, trace=trace) as reply:
        yield reply


@contextlib.asynccontextmanager
async def _dying_after(
    self: GuardedClient, request: OutboundRequest, *, trace: SendTrace | None = None
) -> AsyncIterator[StreamedReply]:
    async with _stream(self, request, trace=trace) as reply:
        yield reply
        _die()


async def main(point: str) -> None:
    if point == "before_send":
        GuardedClient.stream = _dying_before  # type: ignore[method-assign]
    if point == "after_reply":
        GuardedClient.stream = _dying_after  # type: ignore[method-assign]
    await work_for_ever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    leave(0)

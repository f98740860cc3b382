"""A real worker that stops dead at many points of transfers at once: it ends by SIGKILL when all of them are reached.

Each run stands still at its point, which the folder of its file names. No heartbeats are sent but those that must be
durable, so that the next worker knows no more than after a death at that very instant.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import activities.sftp_download
import workflows.options
from activities.sftp_beats import Beats
from net.sftp import SftpSession
from tests.fixtures.forked import python
from tests.fixtures.processes import work_for_ever
from tests.fixtures.tieline import Installation

READY_SECONDS = 60
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
"""Within which all points must be reached; it is usually 20."""

POINTS: dict[str, tuple[Any, str, bool, int]] = {
    "before-first-byte": (SftpSession, "write", False, 1),
    "mid-transfer": (SftpSession, "_write_block", True, 28),
    "before-size-check": (SftpSession, "stat", False, 1),
    "before-rename": (SftpSession, "rename", False, 1),
    "after-rename": (SftpSession, "rename", True, 1),
    "after-checksum": (SftpSession, "rename", False, 2),
    "before-marker": (SftpSession, "write", False, 2),
    "before-it-replaces": (SftpSession, "rename", False, 1),
    "after-it-replaced": (SftpSession, "rename", True, 1),
    "after-commit": (activities.sftp_download, "_fetch", True, 1),
    "before-delete": (SftpSession, "remove", False, 1),
    "after-delete": (SftpSession, "remove", True, 1),
    "after-move": (SftpSession, "rename", True, 1),
    "after-copy": (SftpSession, "copy", True, 1),
    "before-copy-has-its-name": (SftpSession, "rename", False, 1),
    "after-copy-has-its-name": (SftpSession, "rename", True, 1),
    "after-deletion": (SftpSession, "remove", True, 1),
    "folder-half-deleted": (SftpSession, "remove", True, 2),
    "folder-emptied": (SftpSession, "rmdir", False, 2),
    "folder-deleted": (SftpSession, "rmdir", True, 2),
    "many-files": (SftpSession, "rename", False, 21),
    "move-replaced": (SftpSession, "rename", True, 1),
    "copy-replaced": (SftpSession, "rename", True, 1),
    # a server that renames nothing
    "in-place-begun": (SftpSession, "write", False, 1),
    "in-place-half": (SftpSession, "_write_block", True, 28),
    "in-place-half-replaced": (SftpSession, "_write_block", True, 28),
    "in-place-written": (SftpSession, "stat", False, 1),
    "in-place-checksum": (SftpSession, "write", True, 2),
    "in-place-marker": (SftpSession, "write", False, 2),
    "in-place-copied": (SftpSession, "copy", True, 1),
    # one that replaces no file by a rename: the second rename sets the old one aside, the third gives the name
    "two-steps-noted": (SftpSession, "rename", False, 2),
    "two-steps-set-aside": (SftpSession, "rename", True, 2),
    "two-steps-named": (SftpSession, "rename", True, 3),
    "two-steps-removed": (SftpSession, "remove", True, 1),
    "two-steps-checksum-set-aside": (SftpSession, "rename", True, 2),
    "two-steps-move-set-aside": (SftpSession, "rename", True, 2),
    "two-steps-move-named": (SftpSession, "rename", True, 3),
    "two-steps-copy-set-aside": (SftpSession, "rename", True, 2),
    "two-steps-copy-named": (SftpSession, "rename", True, 3),
    # one that takes files away when they have their name
    "taken-before-rename": (SftpSession, "rename", False, 1),
    "taken-after-rename": (SftpSession, "rename", True, 1),
    "taken-before-marker": (SftpSession, "write", False, 2),
    # one that does so when they are closed, and renames nothing
    "closed-whole": (SftpSession, "write", True, 1),
    "closed-before-marker": (SftpSession, "write", False, 2),
    "closed-half": (SftpSession, "_write_block", True, 10),
}
"""Where, and at the so many-th call for a file of that folder; True: after what the method does."""
MID_DOWNLOAD = "mid-download"
PIECES = 10

_reached: set[str] = set()


@contextlib.asynccontextmanager
async def dying_worker(installation: Installation) -> AsyncIterator[asyncio.subprocess.Process]:
    """Such a worker, ready to work."""
    command = ("-m", "tests.acceptance.dying_transfers")
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


async def reach(point: str) -> None:
    """Go no further; the last one to come here ends the process."""
    _reached.add(point)
    if _reached == {*POINTS, MID_DOWNLOAD}:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.Event().wait()


def stopping(method: Callable[..., Any], point: str, *, after: bool, number: int) -> Callable[..., Any]:
    """The same method, which ends at the point."""
    calls, named = 0, re.compile(rf"(?<![\w-]){point}/")

    async def method_or_stop(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        texts = (each if isinstance(each, str) else repr(each) for each in arguments if not isinstance(each, bytes))
        about = any(named.search(text) for text in texts)
        calls += about
        here = about and calls == number
        if here and not after:
            await reach(point)
        result = await method(*arguments, **more)
        if here and after:
            await reach(point)
        return result

    return method_or_stop


_read = SftpSession.read


async def _reading(self: SftpSession, path: str, *arguments: Any, **more: Any) -> AsyncIterator[bytes]:
    pieces = 0
    async for piece in _read(self, path, *arguments, **more):
        yield piece
        pieces += 1
        if MID_DOWNLOAD in path and pieces == PIECES:
            await reach(MID_DOWNLOAD)


@contextlib.contextmanager
def _silent(self: Beats, interval: float) -> Any:
    yield


async def main() -> None:
    for point, (owner, name, after, number) in POINTS.items():
        setattr(owner, name, stopping(getattr(owner, name), point, after=after, number=number))
    SftpSession.read = _reading  # type: ignore[method-assign, assignment]
    Beats.running = _silent  # type: ignore[method-assign]
    workflows.options.HEARTBEAT_TIMEOUT = HEARTBEAT_TIMEOUT
    await work_for_ever()


if __name__ == "__main__":
    asyncio.run(main())

"""Programs under a restart policy, as `restart: unless-stopped` means it. They end with us, however we end."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

from runtime import tether

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
GOOD_WHILE = 10.0
"""Docker's: the pause before a restart doubles each time, and is short again once the program has run so long."""

LOOK_EVERY = 0.1
TAIL_LINES = 15


class NotReady(Exception):
    """A service did not become ready in time; the message holds the end of its log."""


class Service:
    """One program, started again whenever it ends."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.restarts = -1
        self.status: int | None = None
        """Of the program that ended last; negative when a signal ended it."""
        self._command = [sys.executable, "-I", "-S", tether.__file__, *command]
        self._environment = dict(environment)
        self._log = folder / f"{name.replace(' ', '-')}.log"
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def tether(self) -> int | None:
        """Process id of what holds the program; None before the first start."""
        return self._process.pid if self._process else None

    def kill(self) -> int:
        """End the program itself by SIGKILL; returns its process id."""
        (program,) = psutil.Process(self.tether).children()
        program.send_signal(signal.SIGKILL)
        return int(program.pid)

    async def keep(self) -> None:
        """Run the program, again and again, until `stop`."""
        pause = FIRST_PAUSE
        with self._log.open("ab") as log:
            while not self._stopping.is_set():
                began = time.monotonic()
                await self._run_once(log)
                pause = FIRST_PAUSE if time.monotonic() - began > GOOD_WHILE else min(2 * pause, LONGEST_PAUSE)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)

    def stop(self) -> None:
        """Ask it to end, by SIGTERM; whoever awaits `keep` sees it end."""
        self._stopping.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def tail(self) -> str:
        """The last lines of its log."""
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        lines = text.strip().splitlines()[-TAIL_LINES:]
        return "\n".join(f"  | {line[:400]}" for line in lines) or "  | (no output)"

    async def _run_once(self, log: BinaryIO) -> None:
        self.restarts += 1
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=self._environment,
            start_new_session=True,  # a terminal's Ctrl-C is for us, who stop this in good order
        )
        if self._stopping.is_set():
            self.stop()
        self.status = await self._process.wait()


@contextlib.asynccontextmanager
async def kept(service: Service) -> AsyncIterator[Service]:
    """A service under way for as long as the body runs."""
    keeping = asyncio.create_task(service.keep())
    try:
        yield service
    finally:
        service.stop()
        await keeping


async def until(what: str, holds: Callable[[], Awaitable[bool]], limit: float, *services: Service) -> float:
    """Wait until something holds; returns the seconds that it took.

    Raises:
        NotReady: it does not within `limit` seconds. The message names what, and the logs of the services.
    """
    began = time.monotonic()
    while not await holds():
        if time.monotonic() - began > limit:
            logs = "\n".join(f"{service.name}:\n{service.tail()}" for service in services)
            raise NotReady(f"{what}: not within {limit:g} seconds\n{logs}")
        await asyncio.sleep(LOOK_EVERY)
    return time.monotonic() - began


def inherited(folder_of_programs: Path) -> dict[str, str]:
    """What a process gets besides its own variables; what the reader has set for an installation of theirs is left
    out, as it would be in a container."""
    names = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ} | {
        "PATH": f"{folder_of_programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    }

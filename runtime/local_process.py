"""A program of this machine that runs for as long as a block of our code, and not a moment longer."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

from runtime import tether

LOG_LIMIT_BYTES = 10_000_000
TAIL_LINES = 15


class LocalProcess:
    """A program under way. Its output goes to a log file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, log_start: int) -> None:
        self._process = process
        self._log = log
        self._log_start = log_start

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def output(self) -> str:
        """What it has written since its start."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        """The last lines of its output, for an error message."""
        lines = self.output().strip().splitlines()[-TAIL_LINES:]
        return "\n".join(f"  | {line}" for line in lines) or "  | (no output)"

    async def stop(self) -> None:
        """Ask it to end; it is killed when it does not within the tether's limit."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


@contextlib.asynccontextmanager
async def local_process(
    command: Sequence[str], log: Path, *, keep_open: Sequence[int] = ()
) -> AsyncIterator[LocalProcess]:
    """Run `command` while the body runs, in a session of its own: Ctrl-C reaches us, and we end it when we are done.

    `keep_open` are descriptors that the program holds for its whole life.
    """
    with _opened(log) as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", tether.__file__, *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=tuple(keep_open),
        )
        running = LocalProcess(process, log, output.tell())
    try:
        yield running
    finally:
        await running.stop()


def _opened(log: Path) -> BinaryIO:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old.log"))
    return log.open("ab")

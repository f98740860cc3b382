"""`tieline up`, which the story may kill and start again."""

import asyncio
import signal

from examples.demo.commands import CommandLine
from examples.demo.narration import Narrator

START_SECONDS = 60.0


class Up:
    """The process that runs everything."""

    def __init__(self, narrator: Narrator, tieline: CommandLine) -> None:
        self._narrator = narrator
        self._tieline = tieline
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and tell what it says of itself; inside a step."""
        self._process = process = await self._tieline.start("up")
        assert process.stdout is not None, "it was asked for"
        lines: list[str] = []
        async with asyncio.timeout(START_SECONDS):
            while (line := (await process.stdout.readline()).decode()) and "tieline doctor" not in line:
                lines.append(line)
        self._narrator.output("".join(lines))
        self._narrator.expect("it is up", "Tieline is up" in "".join(lines))

    async def kill(self) -> None:
        """`kill -9`, in the middle of whatever it does."""
        process = self._process
        assert process is not None, "it was started"
        self._narrator.command(f"kill -9 {process.pid}")
        process.kill()
        await process.wait()

    async def stop(self) -> int:
        """In good order; returns its exit status."""
        process = self._process
        assert process is not None, "it was started"
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        return await process.wait()

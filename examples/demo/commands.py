"""`tieline` as a reader would type it: real processes, whose output is shown as it is."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.demo.narration import Narrator

ROOT = Path(__file__).parents[2]
TIELINE = (sys.executable, "-c", "import cli; cli.main()")
WIDTH = "110"
SECONDS = 60.0
"""For one command; all of them end by themselves much sooner."""

_RUN = re.compile(r"run-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, and everything it printed."""

    status: int
    output: str

    @property
    def run(self) -> str:
        """The first run that it names."""
        found = _RUN.search(self.output)
        return found.group() if found else ""


class CommandLine:
    """Runs commands for one installation, tells them, and keeps what was printed."""

    def __init__(self, narrator: Narrator, settings: Mapping[str, str]) -> None:
        self._narrator = narrator
        # What the reader has set is for an installation of theirs, which the demo leaves alone.
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("TIELINE_")}
        self.environment = {**inherited, **settings, "COLUMNS": WIDTH}
        self.printed: list[str] = []

    async def __call__(self, *arguments: str, stdin: str | None = None) -> Outcome:
        """Run `tieline ARGUMENTS…` and tell it with its output."""
        outcome = await self._run(arguments, stdin)
        self._tell(arguments, outcome)
        return outcome

    async def each(self, commands: Sequence[Sequence[str]]) -> Sequence[Outcome]:
        """Run commands side by side and tell them in order."""
        outcomes = await asyncio.gather(*(self._run(command, None) for command in commands))
        for command, outcome in zip(commands, outcomes, strict=True):
            self._tell(command, outcome)
        return outcomes

    async def untold(self, *arguments: str) -> Outcome:
        """Run `tieline ARGUMENTS…`, one of many that are alike."""
        return await self._run(arguments, None)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command that goes on until it is stopped; standard output is the caller's to read."""
        self._narrator.command(f"tieline {shlex.join(arguments)} &")
        return await asyncio.create_subprocess_exec(
            *TIELINE,
            *arguments,
            cwd=ROOT,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the demo, which stops this in good order
        )

    async def _run(self, arguments: Sequence[str], stdin: str | None) -> Outcome:
        process = await asyncio.create_subprocess_exec(
            *TIELINE,
            *arguments,
            cwd=ROOT,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate(None if stdin is None else stdin.encode())
        except TimeoutError:
            raise TimeoutError(f"tieline {shlex.join(arguments)} has not ended within {SECONDS:g} seconds") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None, "the process has ended"
        return Outcome(process.returncode, output.decode())

    def _tell(self, arguments: Sequence[str], outcome: Outcome) -> None:
        self.printed.append(outcome.output)
        self._narrator.command(f"tieline {shlex.join(arguments)}")
        self._narrator.output(outcome.output)

"""The README's console blocks, typed as they stand there: what they show is what a reader sees.

In its output `…` stands for anything; ids of runs, times, versions and ports differ from run to run.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from examples.externalsystems import Systems
from examples.externalsystems.warehouse import serve_warehouse

ROOT = Path(__file__).parents[2]
TOUR = "## A tour of five minutes"
START_SECONDS, SECONDS = 60, 60

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"run-[0-9a-f]{8,32}")
_VARIES = re.compile(
    r"(?P<run>run-[0-9a-f]{32})"
    r"|(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
    r"|(?P<age>\d+s ago)"
    r"|(?P<hash>\b[0-9a-f]{12}\b|\bk[0-9a-f]{8}\b)"
    r"|(?P<address>127\.0\.0\.1:\d+)"
    r"|(?P<anything>…)"
)
_PATTERNS = {
    "run": r"(run-[0-9a-f]{32})",
    "time": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
    "age": r"\d+s ago",
    "hash": r"k?[0-9a-f]+",
    "address": r"127\.0\.0\.1:\d+",
    "anything": r".*",
}


def told(readme: str) -> Iterator[tuple[str, str]]:
    """Each command of the tour and what the README says that it prints."""
    for block in _BLOCK.findall(readme.partition(TOUR)[2]):
        for typed in block.removeprefix("$ ").split("\n$ "):
            command, _, output = typed.partition("\n")
            yield command, output


def pattern(output: str) -> str:
    """A regular expression for output that differs in nothing but what differs each time."""
    parts, end = [], 0
    for match in _VARIES.finditer(output):
        parts += [re.escape(output[end : match.start()]), _PATTERNS[match.lastgroup or ""]]
        end = match.end()
    return "".join([*parts, re.escape(output[end:])])


class Shell:
    """Types commands; remembers what was exported, and which of today's runs stands for which of the README's."""

    def __init__(self, environment: Mapping[str, str], servers: Mapping[str, str]) -> None:
        self.environment = environment
        self._servers = servers
        self._exports = ""
        self._runs: dict[str, str] = {}

    async def type(self, command: str, expected: str) -> None:
        if command.startswith("export "):
            self._exports += f"{command}\n"
            return
        printed = await self._printed(self._todays(command))
        match = re.fullmatch(pattern(expected.rstrip("\n")), printed.rstrip("\n"))
        assert match, f"$ {command}\nthe README says:\n{expected}\nprinted:\n{printed}"
        self._runs |= dict(zip(_RUN.findall(expected), match.groups(), strict=True))

    def _todays(self, command: str) -> str:
        for written, server in self._servers.items():
            command = command.replace(written, server)
        return _RUN.sub(lambda found: self._todays_run(found.group()), command)

    def _todays_run(self, written: str) -> str:
        return next(today for then, today in self._runs.items() if then.startswith(written))

    async def _printed(self, command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f"{self._exports}{command}"),
            cwd=ROOT,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        return output.decode()


@contextlib.asynccontextmanager
async def up(environment: Mapping[str, str], log: Path) -> AsyncIterator[None]:
    """`tieline up`, as long as the body runs."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            "tieline", "up", cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    assert process.stdout is not None
    try:
        first = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        assert b"Tieline is up" in first, f"see {log}"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.timeout(240)
async def test_the_readme_shows_what_its_commands_print(tmp_path: Path, systems: Systems) -> None:
    tour = list(told((ROOT / "README.md").read_text(encoding="utf-8")))
    assert len(tour) > 10
    async with serve_warehouse(tmp_path / "warehouse") as warehouse:
        servers = {
            "127.0.0.1:9101": systems.server,
            "127.0.0.1:9102": systems.flaky_server,
            "127.0.0.1:9103": warehouse.server,
        }
        shell = Shell(_environment(tmp_path / ".tieline", servers), servers)
        async with up(shell.environment, tmp_path / "up.log"):
            for command, expected in tour:
                await shell.type(command, expected)


def _environment(folder: Path, servers: Mapping[str, str]) -> Mapping[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TIELINE_DATA_DIR": str(folder),
        "TIELINE_EGRESS_ALLOW": ",".join(servers.values()),
        "COLUMNS": "110",
    }

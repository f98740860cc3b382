"""How fast files move, against the OpenSSH `sftp` client with the same cipher and the same server.

Four sides take turns: `sftp` that is logged in already, and a new process of it for each batch; the session that the
activities use, and whole durable runs, from their start to their result, both with a connection that is kept. Files lie
in memory on both sides, in random bytes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import sftp_memory
from benchmarks.delay import long_line
from benchmarks.measure import Comparison, Figure, Work, compared, in_turn
from benchmarks.sftp_stage import Files, Installation, Line, open_installation, open_line, pieces
from benchmarks.stage import Stage
from runtime.assembly import open_worker
from runtime.egress import egress_policy
from runtime.sftp import open_connections
from tests.fixtures.sshd import Sshd, sshd_server

NEAR, FAR, SOURCE = "near", "far", "source"
ROUND_TRIP = 0.040
"""Seconds, of the far line."""
BIG, SMALL = 256_000_000, 10_000
FAR_BIG = 64_000_000
MEGABYTE = 1_000_000


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    with sshd_server() as sshd:
        async with long_line(stage.folder, sshd.port, ROUND_TRIP) as far_port, sftp_memory.endless() as http_port:
            ports, http = {NEAR: sshd.port, FAR: far_port}, {SOURCE: http_port}
            async with open_installation(stage, sshd, ports, http) as installation:
                async for comparison in _moved(installation, sshd, ports):
                    yield comparison
                async for comparison in sftp_memory.measure(installation, NEAR, SOURCE):
                    yield comparison


async def _moved(installation: Installation, sshd: Sshd, ports: Mapping[str, int]) -> AsyncIterator[Comparison]:
    stores = installation.stores
    big, small = await installation.files("big", 1, BIG), await installation.files("small", 500, SMALL)
    far_big = await installation.files("far-big", 1, FAR_BIG)
    far_small = await installation.files("far-small", 100, SMALL)
    async with (
        open_worker(stores, installation.client),
        open_connections(stores.settings, await egress_policy(stores.settings)) as connections,
    ):
        async with open_line(installation, sshd, connections, NEAR, ports[NEAR]) as line:
            for each in await _both_ways(line, big, "256 MB", "≥ 0.9", rounds=5):
                yield each
            for each in await _both_ways(line, small, "500 files", "≥ 2.0", rounds=5):
                yield each
        async with open_line(installation, sshd, connections, FAR, ports[FAR]) as line:
            for each in await _both_ways(line, far_big, "64 MB at 40 ms", rounds=3):
                yield each
            for each in await _both_ways(line, far_small, "100 files at 40 ms", rounds=2, warm_up=False):
                yield each


async def _both_ways(
    line: Line, files: Files, what: str, goal: str = "", *, rounds: int, warm_up: bool = True
) -> Sequence[Comparison]:
    unit = "MB/s" if files.count == 1 else "/s"
    amount = files.bytes / MEGABYTE if files.count == 1 else files.count
    comparisons: list[Comparison] = []
    for verb in ("put", "get"):
        works = _works(line, files, verb)
        if line.adapter == FAR:
            del works["command"]
        sides = {side: _rate(work, amount) for side, work in works.items()}
        figures = await in_turn(sides, rounds=rounds, warm_up=warm_up)
        for name, subject, base, its_goal in (
            ("session", "session", "openssh", goal),
            ("session against a new sftp", "session", "command", goal),
            ("run", "run", "openssh", ""),
            ("run against a new sftp", "run", "command", ""),
            ("run against session", "run", "session", ""),
        ):
            if base in sides:
                pairs = [(each[subject], each[base]) for each in figures]
                comparisons.append(compared(f"{verb} {what}, {name}", pairs, unit=unit, goal=its_goal))
    return comparisons


def _works(line: Line, files: Files, verb: str) -> dict[str, Work]:
    """The four sides, each with a folder of its own to put files in, or to get them into."""
    source, by_session, by_openssh = files.below("source"), files.below("session"), files.below("openssh")
    batch = [f"{verb} {source / name} {by_openssh / name}" for name in files.names]
    move, (operation, fields) = (_write, _upload(files)) if verb == "put" else (_read, _download(files))

    async def session() -> None:
        await asyncio.gather(*(move(line, source / name, by_session / name) for name in files.names))
        _check(by_session, files)

    async def openssh() -> None:
        await line.openssh.do(batch)
        _check(by_openssh, files)

    async def command() -> None:
        async with line.new_openssh() as client:
            await client.do(batch)

    async def run() -> None:
        done = await line.installation.do(line.adapter, operation, **fields)
        assert done.bytes == files.bytes

    return {"session": session, "openssh": openssh, "command": command, "run": run}


def _upload(files: Files) -> tuple[str, dict[str, Any]]:
    uploads = [
        {"source": {"type": "asset", "asset": asset}, "path": f"run/{files.folder}/{asset.name}"}
        for asset in files.assets
    ]
    return "upload", {"files": uploads, "overwrite": "replace"}


def _download(files: Files) -> tuple[str, dict[str, Any]]:
    return "download", {"paths": [f"source/{files.folder}/{name}" for name in files.names]}


async def _write(line: Line, source: Path, target: Path) -> None:
    await line.session.write(str(target), pieces(source))


async def _read(line: Line, source: Path, target: Path) -> None:
    with target.open("wb") as file:
        async for data in line.session.read(str(source)):
            file.write(data)


def _rate(work: Work, amount: float) -> Figure:
    """The amount that is moved in a second."""

    async def figure() -> float:
        start = time.perf_counter()
        await work()
        return amount / (time.perf_counter() - start)

    return figure


def _check(folder: Path, files: Files) -> None:
    """A side that moved nothing would win."""
    sizes = [(folder / name).stat().st_size for name in files.names]
    assert sizes == [files.size] * files.count

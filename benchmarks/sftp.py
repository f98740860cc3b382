"""How fast files move, against the OpenSSH `sftp` client with the same cipher and the same server.

Three sides take turns: `sftp` itself, the session that the activities use, and whole durable runs, from their start to
their result. All are logged in before, so neither the start of a process nor a handshake counts. Files lie in memory on
both sides, in random bytes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from benchmarks.delay import long_line
from benchmarks.measure import Comparison, Figure, Work, compared, in_turn
from benchmarks.sftp_stage import Files, Installation, Line, open_installation, open_line, pieces
from benchmarks.stage import Stage
from runtime.assembly import egress_policy, open_worker
from runtime.sftp import open_connections
from tests.fixtures.sshd import sshd_server

NEAR, FAR = "near", "far"
ROUND_TRIP = 0.040
"""Seconds, of the far line."""
BIG, SMALL = 256_000_000, 10_000
FAR_BIG = 64_000_000
MEGABYTE = 1_000_000


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    with sshd_server() as sshd:
        async with long_line(stage.folder, sshd.port, ROUND_TRIP) as far_port:
            ports = {NEAR: sshd.port, FAR: far_port}
            async with open_installation(stage, sshd, ports) as installation:
                settings = installation.stores.settings
                async with (
                    open_worker(installation.stores, installation.client),
                    open_connections(settings, await egress_policy(settings)) as connections,
                    open_line(installation, sshd, connections, NEAR, sshd.port) as near,
                    open_line(installation, sshd, connections, FAR, far_port) as far,
                ):
                    async for comparison in _moved(near, far, installation):
                        yield comparison


async def _moved(near: Line, far: Line, installation: Installation) -> AsyncIterator[Comparison]:
    big = await installation.files("big", 1, BIG)
    for each in await _both_ways(near, big, "256 MB", "≥ 0.9", rounds=5):
        yield each
    small = await installation.files("small", 500, SMALL)
    for each in await _both_ways(near, small, "500 files of 10 KB", "≥ 2.0", rounds=5):
        yield each
    far_big = await installation.files("far-big", 1, FAR_BIG)
    for each in await _both_ways(far, far_big, "64 MB at 40 ms", rounds=3):
        yield each
    far_small = await installation.files("far-small", 100, SMALL)
    for each in await _both_ways(far, far_small, "100 files of 10 KB at 40 ms", rounds=2, warm_up=False):
        yield each


async def _both_ways(
    line: Line, files: Files, what: str, goal: str = "", *, rounds: int, warm_up: bool = True
) -> Sequence[Comparison]:
    unit = "MB/s" if files.count == 1 else "/s"
    amount = files.bytes / MEGABYTE if files.count == 1 else files.count
    comparisons: list[Comparison] = []
    for verb, works in (("put", _puts(line, files)), ("get", _gets(line, files))):
        sides = {side: _rate(work, amount) for side, work in works.items()}
        figures = await in_turn(sides, rounds=rounds, warm_up=warm_up)
        for name, subject, base, its_goal in (
            (f"{verb} {what}, session", "session", "openssh", goal),
            (f"{verb} {what}, durable run", "run", "openssh", ""),
            (f"{verb} {what}, run against session", "run", "session", ""),
        ):
            pairs = [(each[subject], each[base]) for each in figures]
            comparisons.append(compared(name, pairs, unit=unit, goal=its_goal))
    return comparisons


def _puts(line: Line, files: Files) -> Mapping[str, Work]:
    source, by_session, by_openssh = files.below("source"), files.below("session"), files.below("openssh")
    batch = [f"put {source / name} {by_openssh / name}" for name in files.names]
    uploads = [
        {"source": {"type": "asset", "asset": asset}, "path": f"run/{files.folder}/{asset.name}"}
        for asset in files.assets
    ]

    async def session() -> None:
        await asyncio.gather(*(_write(line, source / name, by_session / name) for name in files.names))
        _check(by_session, files)

    async def openssh() -> None:
        await line.openssh.do(batch)
        _check(by_openssh, files)

    async def run() -> None:
        done = await line.installation.do(line.adapter, "upload", files=uploads, overwrite="replace")
        assert done.bytes == files.bytes

    return {"session": session, "openssh": openssh, "run": run}


def _gets(line: Line, files: Files) -> Mapping[str, Work]:
    source, by_session, by_openssh = files.below("source"), files.below("session"), files.below("openssh")
    batch = [f"get {source / name} {by_openssh / name}" for name in files.names]
    paths = [f"source/{files.folder}/{name}" for name in files.names]

    async def session() -> None:
        await asyncio.gather(*(_read(line, source / name, by_session / name) for name in files.names))
        _check(by_session, files)

    async def openssh() -> None:
        await line.openssh.do(batch)
        _check(by_openssh, files)

    async def run() -> None:
        done = await line.installation.do(line.adapter, "download", paths=paths)
        assert done.bytes == files.bytes

    return {"session": session, "openssh": openssh, "run": run}


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

"""kill -9 of a real worker at named points of transfers: what stands on the server when another one has finished."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from definitions.sftp import SftpResult
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.runs import RunFailed
from runtime.temporal_server import TemporalAddress
from tests.acceptance.dying_transfers import MID_DOWNLOAD, POINTS, dying_worker
from tests.fixtures.faulty_sftp import FaultySftp, faulty_sftp
from tests.fixtures.sftp_runs import SftpWorld, aged, bind_adapter, open_sftp_world, sha256, upload_of
from tests.fixtures.sshd import Sshd, sshd_server

LIMIT = timedelta(seconds=120)
DOWNLOADS = {MID_DOWNLOAD, "after-commit", "before-delete", "after-delete"}
MOVES = {"after-move", "move-replaced", "two-steps-move-set-aside", "two-steps-move-named"}
COPIES = {
    *("after-copy", "before-copy-has-its-name", "after-copy-has-its-name", "copy-replaced", "in-place-copied"),
    *("two-steps-copy-set-aside", "two-steps-copy-named"),
}
DELETIONS = {"after-deletion", "folder-half-deleted", "folder-emptied", "folder-deleted"}
MANY = "many-files"
ARRIVALS = {"taken-before-rename", "taken-after-rename", "taken-before-marker", "closed-whole", "closed-before-marker"}
HALF_TAKEN = "closed-half"
UPLOADS = POINTS.keys() - DOWNLOADS - MOVES - COPIES - DELETIONS - ARRIVALS - {MANY, HALF_TAKEN}
SERVERS: dict[str, dict[str, Any]] = {
    "in-place": {"rename": False},
    "two-steps": {},
    "taken": {"moves_on_arrival": True},
    "closed": {"rename": False, "moves_on_arrival": True},
}
"""How a point begins that is about another server than the usual one, and what its integration says of that."""
REPLACE, MARKER = {"overwrite": "replace"}, {"marker_file": "{name}.done"}
MORE: dict[str, dict[str, Any]] = {
    "after-checksum": {"checksum_file": True},
    "before-marker": MARKER,
    "before-it-replaces": REPLACE,
    "after-it-replaced": REPLACE,
    "move-replaced": REPLACE,
    "copy-replaced": REPLACE,
    **{point: REPLACE for point in POINTS if point.startswith("two-steps-")},
    "in-place-half-replaced": REPLACE,
    "in-place-checksum": {"checksum_file": True},
    "in-place-marker": MARKER,
    "two-steps-checksum-set-aside": REPLACE | {"checksum_file": True},
    "taken-before-marker": MARKER,
    "closed-before-marker": MARKER,
}
NAMES = {
    **{point: ["file.bin", "file.bin.sha256"] for point, more in MORE.items() if "checksum_file" in more},
    **{point: ["file.bin", "file.bin.done"] for point, more in MORE.items() if more is MARKER},
}

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run ended with, what is in its folder afterwards, and what its asset or largest file holds."""

    names: list[str]
    folders: list[str]
    content: bytes
    hashes: list[str]
    sent: bytes
    ended: SftpResult | RunFailed
    arrivals: list[str] = field(default_factory=list)
    """In the order in which the server took them away."""

    @property
    def result(self) -> SftpResult:
        assert isinstance(self.ended, SftpResult), self.ended
        return self.ended


@pytest.fixture(scope="module")
def content() -> bytes:
    """8 MB, twice what is written at once, in which no part is like another."""
    return b"".join(index.to_bytes(8, "big") for index in range(1_000_000))


@pytest_asyncio.fixture(scope="module")
async def finished(
    tmp_path_factory: pytest.TempPathFactory,
    temporal_server: TemporalAddress,
    systems: Systems,
    sshd: Sshd,
    content: bytes,
) -> dict[str, Finished]:
    """One run for each point. They share a worker that dies when all of them are there, and the one that follows."""
    folder = tmp_path_factory.mktemp("crashes")
    async with open_worlds(folder, temporal_server.address, systems, sshd) as (worlds, taking):
        tieline, points = worlds[""].tieline, (*POINTS, MID_DOWNLOAD)
        starting = [start(worlds[server_of(point)], point, sent(point, content)) for point in points]
        runs = dict(zip(points, await asyncio.gather(*starting), strict=True))
        async with dying_worker(tieline) as worker:
            assert await asyncio.wait_for(worker.wait(), 60) == -9
        async with open_worker(tieline.stores, tieline.client):
            return {
                point: await finish(worlds[server_of(point)], point, run, sent(point, content), taking)
                for point, run in runs.items()
            }


@contextlib.asynccontextmanager
async def open_worlds(
    folder: Path, address: str, systems: Systems, sshd: Sshd
) -> AsyncIterator[tuple[dict[str, SftpWorld], FaultySftp]]:
    """One installation with an account at each server, by how its points begin, and the one that takes files away."""
    taken = folder / "taken"
    taken.mkdir()
    with sshd_server(without="posix-rename") as two_steps:
        async with (
            faulty_sftp(taken) as taking,
            open_sftp_world(folder, address, systems, sshd, also=[two_steps.place, taking.server().place]) as usual,
        ):
            taking.moves_arrivals_to = "taken"
            at_usual = sshd.server(), f"{sshd.root}/{usual.folder.name}", usual.folder
            at_two_steps = two_steps.server(), two_steps.root, two_steps.home
            at_taking = taking.server(), "/", taken
            places = {"in-place": at_usual, "two-steps": at_two_steps, "taken": at_taking, "closed": at_taking}
            worlds = {"": usual}
            for name, (server, root, home) in places.items():
                await bind_adapter(usual.tieline, name, server, root, SERVERS[name])
                worlds[name] = replace(usual, folder=home, adapter=name)
            yield worlds, taking


def server_of(point: str) -> str:
    return next((name for name in SERVERS if point.startswith(f"{name}-")), "")


def sent(point: str, content: bytes) -> bytes:
    """All of it only where a file is to be cut off in its middle, or by the usual server."""
    return content if not server_of(point) or "half" in point else content[:100_000]


async def begun(world: SftpWorld, type_: str, **operation: Any) -> str:
    """A run that fails, and holds up no other one, where it would ask a person."""
    return (await world.start(type_, park_for="1s", **operation)).id


async def start(world: SftpWorld, point: str, content: bytes) -> str:
    """Start the run of a point, in a folder that is named after it."""
    more = MORE.get(point, {})
    if point in UPLOADS | ARRIVALS | {HALF_TAKEN}:
        if more.get("overwrite") == "replace":
            put_old(world, point, content)
        operation = upload_of(await world.keep(content), f"{point}/", **more)
        return await begun(world, "upload", **operation)
    if point == MANY:
        assets = [await world.keep(f"{index}".encode(), f"{index:02}.txt") for index in range(40)]
        files = [{"source": {"type": "asset", "asset": asset}, "path": f"{point}/"} for asset in assets]
        return await begun(world, "upload", files=files)
    (world.folder / point).mkdir()
    if point in DELETIONS:
        return await delete(world, point)
    (world.folder / point / "file.bin").write_bytes(content)
    aged(world.folder / point)
    if point in MOVES | COPIES:
        type_, target = ("move", "moved.bin") if point in MOVES else ("copy", "copy.bin")
        if more.get("overwrite") == "replace":
            (world.folder / point / target).write_bytes(b"old")
        return await begun(world, type_, path=f"{point}/file.bin", to=f"{point}/{target}", **more)
    return await begun(world, "download", paths=[f"{point}/file.bin"], after="delete")


def put_old(world: SftpWorld, point: str, content: bytes) -> None:
    """Of the same size where it could be taken for the new one, and longer where that is written over it."""
    (world.folder / point).mkdir()
    sizes = {"two-steps": len(content), "in-place": len(content) + 1000}
    (world.folder / point / "file.bin").write_bytes(b"o" * sizes.get(server_of(point), 3))
    if "checksum_file" in MORE[point]:
        (world.folder / point / "file.bin.sha256").write_bytes(b"of the old one")


async def delete(world: SftpWorld, point: str) -> str:
    if point == "after-deletion":
        (world.folder / point / "file.bin").touch()
        return await begun(world, "delete", path=f"{point}/file.bin")
    (world.folder / point / "old/below").mkdir(parents=True)
    for name in ("old/1", "old/2", "old/below/3"):
        (world.folder / point / name).touch()
    return await begun(world, "delete", path=f"{point}/old", recursive=True)


async def finish(world: SftpWorld, point: str, run: str, sent: bytes, taking: FaultySftp) -> Finished:
    ended: SftpResult | RunFailed
    try:
        ended = await world.result(run, LIMIT)
    except RunFailed as error:
        ended = error
    there = sorted((world.folder / point).iterdir())
    contents = [path.read_bytes() for path in sorted((world.folder / point).rglob("*")) if path.is_file()]
    asset = ended.files[0].asset if isinstance(ended, SftpResult) and ended.files else None
    return Finished(
        names=[name.partition("/")[2] for name in world.names(point)],
        folders=[path.name for path in there if path.is_dir()],
        content=max(contents, key=len, default=b"") if asset is None else await world.content(asset),
        hashes=[sha256(content) for content in contents],
        sent=sent,
        ended=ended,
        arrivals=[name.partition("/")[2] for name in taking.taken if name.startswith(f"{point}/")],
    )


@pytest.mark.parametrize("point", sorted(UPLOADS))
def test_an_upload_whose_worker_was_killed_ends_with_one_whole_file_and_nothing_beside_it(
    finished: dict[str, Finished], point: str
) -> None:
    seen = finished[point]

    assert seen.names == NAMES.get(point, ["file.bin"])
    assert sha256(seen.content) == sha256(seen.sent)
    assert (seen.result.attempt, seen.result.sha256, seen.result.bytes) == (2, sha256(seen.sent), len(seen.sent))


@pytest.mark.parametrize("point", sorted(ARRIVALS))
def test_a_server_that_takes_files_away_gets_each_once_though_the_worker_was_killed(
    finished: dict[str, Finished], point: str
) -> None:
    seen = finished[point]

    assert seen.arrivals == NAMES.get(point, ["file.bin"])
    assert seen.names == [f"taken/{name}" for name in seen.arrivals]
    assert sha256(seen.content) == sha256(seen.sent)
    assert (seen.result.attempt, seen.result.sha256, seen.result.bytes) == (2, sha256(seen.sent), len(seen.sent))


def test_a_server_that_took_the_half_of_a_file_when_the_worker_was_killed_gets_no_second_one_unasked(
    finished: dict[str, Finished],
) -> None:
    seen = finished[HALF_TAKEN]

    assert isinstance(seen.ended, RunFailed)
    assert seen.ended.failure.category == "outcome_unknown"
    assert seen.names == ["taken/file.bin"]
    assert 0 < len(seen.content) < len(seen.sent)


@pytest.mark.parametrize("point", ["mid-transfer", "before-size-check", "before-rename", "after-checksum"])
def test_an_upload_goes_on_where_the_killed_worker_had_got_and_is_read_back(
    finished: dict[str, Finished], point: str
) -> None:
    seen = finished[point].result

    assert seen.resumed_from > 1_000_000
    assert seen.files[0].verified == "read_back"


@pytest.mark.parametrize("point", sorted(DOWNLOADS))
def test_a_download_whose_worker_was_killed_ends_with_a_whole_asset_and_without_its_source(
    finished: dict[str, Finished], point: str, content: bytes
) -> None:
    seen = finished[point]

    assert seen.names == []
    assert sha256(seen.content) == sha256(content)
    assert (seen.result.attempt, seen.result.sha256) == (2, sha256(content))


def test_a_download_goes_on_where_the_killed_worker_had_got(finished: dict[str, Finished]) -> None:
    assert finished[MID_DOWNLOAD].result.resumed_from > 1_000_000


@pytest.mark.parametrize("point", sorted(MOVES))
def test_a_move_whose_worker_was_killed_ends_with_the_file_at_its_new_place_alone(
    finished: dict[str, Finished], point: str
) -> None:
    seen = finished[point]

    assert seen.names == ["moved.bin"]
    assert sha256(seen.content) == sha256(seen.sent)
    assert seen.result.attempt == 2


@pytest.mark.parametrize("point", sorted(COPIES))
def test_a_copy_whose_worker_was_killed_ends_with_one_whole_file_beside_its_source(
    finished: dict[str, Finished], point: str
) -> None:
    seen = finished[point]

    assert seen.names == ["copy.bin", "file.bin"]
    assert seen.hashes == [sha256(seen.sent)] * 2
    assert seen.result.attempt == 2


@pytest.mark.parametrize("point", sorted(DELETIONS))
def test_a_deletion_whose_worker_was_killed_ends_with_nothing_left(finished: dict[str, Finished], point: str) -> None:
    seen = finished[point]

    assert seen.names == []
    assert not seen.folders
    assert seen.result.attempt == 2


def test_many_files_whose_worker_was_killed_arrive_once_each(finished: dict[str, Finished]) -> None:
    seen = finished[MANY]

    assert seen.names == [f"{index:02}.txt" for index in range(40)]
    assert [file.sha256 for file in seen.result.files] == [sha256(f"{index}".encode()) for index in range(40)]
    assert seen.result.attempt == 2

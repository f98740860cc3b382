"""kill -9 of a real worker at named points of transfers: what stands on the server when another one has finished."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from definitions.sftp import SftpResult
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.temporal_server import TemporalAddress
from tests.acceptance.dying_transfers import MID_DOWNLOAD, POINTS, dying_worker
from tests.fixtures.sftp_runs import SftpWorld, aged, open_sftp_world, sha256, upload_of
from tests.fixtures.sshd import Sshd

LIMIT = timedelta(seconds=120)
DOWNLOADS = {MID_DOWNLOAD, "after-commit", "before-delete", "after-delete"}
MOVES = {"after-move"}
COPIES = {"after-copy", "before-copy-has-its-name", "after-copy-has-its-name"}
DELETIONS = {"after-deletion", "folder-half-deleted", "folder-emptied", "folder-deleted"}
MANY = "many-files"
UPLOADS = POINTS.keys() - DOWNLOADS - MOVES - COPIES - DELETIONS - {MANY}
MORE: dict[str, dict[str, Any]] = {
    "after-checksum": {"checksum_file": True},
    "before-marker": {"marker_file": "{name}.done"},
    "before-it-replaces": {"overwrite": "replace"},
    "after-it-replaced": {"overwrite": "replace"},
}
NAMES = {
    "after-checksum": ["file.bin", "file.bin.sha256"],
    "before-marker": ["file.bin", "file.bin.done"],
}

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run ended with, what is in its folder afterwards, and what its asset or largest file holds."""

    result: SftpResult
    names: list[str]
    folders: list[str]
    content: bytes
    hashes: list[str]


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
    async with open_sftp_world(folder, temporal_server.address, systems, sshd) as world:
        runs = {}
        async with dying_worker(world.tieline) as worker:
            for point in (*POINTS, MID_DOWNLOAD):
                runs[point] = await start(world, point, content)
            assert await asyncio.wait_for(worker.wait(), 60) == -9
        async with open_worker(world.tieline.stores, world.tieline.client):
            return {point: await finish(world, point, run) for point, run in runs.items()}


async def start(world: SftpWorld, point: str, content: bytes) -> str:
    """Start the run of a point, in a folder that is named after it."""
    if point in UPLOADS:
        if MORE.get(point, {}).get("overwrite") == "replace":
            (world.folder / point).mkdir()
            (world.folder / point / "file.bin").write_bytes(b"old")
        operation = upload_of(await world.keep(content), f"{point}/", **MORE.get(point, {}))
        return (await world.start("upload", **operation)).id
    if point == MANY:
        assets = [await world.keep(f"{index}".encode(), f"{index:02}.txt") for index in range(40)]
        files = [{"source": {"type": "asset", "asset": asset}, "path": f"{point}/"} for asset in assets]
        return (await world.start("upload", files=files)).id
    (world.folder / point).mkdir()
    if point in DELETIONS:
        return await delete(world, point)
    (world.folder / point / "file.bin").write_bytes(content)
    aged(world.folder / point)
    if point in MOVES:
        return (await world.start("move", path=f"{point}/file.bin", to=f"{point}/moved.bin")).id
    if point in COPIES:
        return (await world.start("copy", path=f"{point}/file.bin", to=f"{point}/copy.bin")).id
    return (await world.start("download", paths=[f"{point}/file.bin"], after="delete")).id


async def delete(world: SftpWorld, point: str) -> str:
    if point == "after-deletion":
        (world.folder / point / "file.bin").touch()
        return (await world.start("delete", path=f"{point}/file.bin")).id
    (world.folder / point / "old/below").mkdir(parents=True)
    for name in ("old/1", "old/2", "old/below/3"):
        (world.folder / point / name).touch()
    return (await world.start("delete", path=f"{point}/old", recursive=True)).id


async def finish(world: SftpWorld, point: str, run: str) -> Finished:
    result = await world.result(run, LIMIT)
    there = sorted((world.folder / point).iterdir())
    contents = [path.read_bytes() for path in there if path.is_file()]
    asset = result.files[0].asset if result.files else None
    return Finished(
        result,
        names=[name.partition("/")[2] for name in world.names(point)],
        folders=[path.name for path in there if path.is_dir()],
        content=max(contents, key=len, default=b"") if asset is None else await world.content(asset),
        hashes=[sha256(content) for content in contents],
    )


@pytest.mark.parametrize("point", sorted(UPLOADS))
def test_an_upload_whose_worker_was_killed_ends_with_one_whole_file_and_nothing_beside_it(
    finished: dict[str, Finished], point: str, content: bytes
) -> None:
    seen = finished[point]

    assert seen.names == NAMES.get(point, ["file.bin"])
    assert sha256(seen.content) == sha256(content)
    assert (seen.result.attempt, seen.result.sha256, seen.result.bytes) == (2, sha256(content), len(content))


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


def test_a_move_whose_worker_was_killed_ends_with_the_file_at_its_new_place_alone(
    finished: dict[str, Finished], content: bytes
) -> None:
    seen = finished["after-move"]

    assert seen.names == ["moved.bin"]
    assert seen.content == content
    assert seen.result.attempt == 2


@pytest.mark.parametrize("point", sorted(COPIES))
def test_a_copy_whose_worker_was_killed_ends_with_one_whole_file_beside_its_source(
    finished: dict[str, Finished], point: str, content: bytes
) -> None:
    seen = finished[point]

    assert seen.names == ["copy.bin", "file.bin"]
    assert seen.hashes == [sha256(content)] * 2
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

"""A real worker that is stopped in the middle of uploads, and goes on when another one has done them in its place."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest
import pytest_asyncio

from definitions.sftp import SftpResult
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.temporal_server import TemporalAddress
from tests.acceptance.stopped_transfers import MODULE, STOPS
from tests.fixtures.forked import python
from tests.fixtures.sftp_runs import SftpWorld, open_sftp_world, sha256, upload_of
from tests.fixtures.sshd import Sshd

LIMIT = timedelta(seconds=120)

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def content() -> bytes:
    """8 MB, twice what is written at once, in which no part is like another."""
    return b"".join(index.to_bytes(8, "big") for index in range(1_000_000))


async def said(worker: asyncio.subprocess.Process, word: str, limit: float = 60) -> None:
    """Wait for this line; there are others between."""
    assert worker.stdout is not None
    async with asyncio.timeout(limit):
        while (line := await worker.stdout.readline()) != f"{word}\n".encode():
            assert line, f"it ended without saying {word}"


async def overtake(world: SftpWorld, content: bytes) -> dict[str, SftpResult]:
    """What the runs ended with; the worker that began them has gone on afterwards, until it has ended all of them."""
    command = ("-m", MODULE)
    environment = os.environ | world.tieline.environment()
    worker = await python(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        await said(worker, "ready")
        asset = await world.keep(content)
        runs = {point: (await world.start("upload", **upload_of(asset, f"{point}/"))).id for point in STOPS}
        await said(worker, "stops")
        async with open_worker(world.tieline.stores, world.tieline.client):
            results = {point: await world.result(run, LIMIT) for point, run in runs.items()}
            worker.send_signal(signal.SIGCONT)
            await said(worker, "ended", 100)
        return results
    finally:
        worker.kill()
        await worker.wait()


@pytest_asyncio.fixture(scope="module")
async def overtaken(
    tmp_path_factory: pytest.TempPathFactory,
    temporal_server: TemporalAddress,
    systems: Systems,
    sshd: Sshd,
    content: bytes,
) -> dict[str, tuple[SftpResult, dict[str, str]]]:
    """For each point the result, and afterwards the hash of every file by its name."""
    folder = tmp_path_factory.mktemp("stopped")
    async with open_sftp_world(folder, temporal_server.address, systems, sshd) as world:
        results = await overtake(world, content)
        there = {name: sha256((world.folder / name).read_bytes()) for name in world.names()}
        return {
            point: (result, {name: there[name] for name in there if name.startswith(f"{point}/")})
            for point, result in results.items()
        }


@pytest.mark.parametrize("point", sorted(STOPS))
def test_an_upload_whose_worker_stood_still_and_went_on_ends_with_one_whole_file_and_nothing_beside_it(
    overtaken: dict[str, tuple[SftpResult, dict[str, str]]], point: str, content: bytes
) -> None:
    result, files = overtaken[point]

    assert files == {f"{point}/file.bin": sha256(content)}
    assert (result.sha256, result.bytes) == (sha256(content), len(content))
    assert result.attempt >= 2

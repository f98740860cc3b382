"""Two attempts at one upload at once: one that was stopped and goes on, and the one that took its place meanwhile."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from activities.parking import CallFailed
from activities.sftp_places import temporary_name
from definitions.sftp import SftpResult
from net.sftp_errors import SftpError
from net.sftp_server import SftpServer
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import sha256, upload_of
from tests.fixtures.waiting import until

HALF = 3_000_000
LATER = 60.0
"""Seconds for which an attempt stands still, by its clock."""


@pytest.fixture(scope="module")
def content() -> bytes:
    """More than all writes under way together, and no part like another."""
    return b"".join(hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(190_000))


@dataclass
class Stop:
    """Where an attempt stands still, once."""

    method: str
    mid: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def here(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            await self.over.wait()


@dataclass
class Stopping:
    """A session of such an attempt."""

    session: Any
    stop: Stop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.session, name)
        return method if name != self.stop.method else self._write if self.stop.mid else self._stopping(method)

    def _stopping(self, method: Any) -> Any:
        async def stopping(*arguments: Any, **more: Any) -> Any:
            await self.stop.here()
            return await method(*arguments, **more)

        return stopping

    async def _write(self, path: str, chunks: AsyncIterator[bytes], **more: Any) -> int:
        async def stopping() -> AsyncIterator[bytes]:
            sent = 0
            async for chunk in chunks:
                yield chunk
                sent += len(chunk)
                if sent > HALF:
                    await self.stop.here()

        size: int = await self.session.write(path, stopping(), **more)
        return size


class Stopped(Attempts):
    """The attempt that is stopped."""

    stop: Stop

    @contextlib.asynccontextmanager
    async def session(self, server: SftpServer) -> AsyncIterator[Any]:
        async with self.connections.session(server) as session:
            yield Stopping(session, self.stop)


def stopped_at(attempts: Attempts, stop: Stop) -> Stopped:
    values = {name: value for name, value in vars(attempts).items() if name != "stop"}
    stopped = Stopped(**values)
    stopped.stop = stop
    stopped.clock = lambda: time.monotonic() + (LATER if stop.over.is_set() else 0)
    return stopped


@dataclass
class ShortOfBytes:
    """Assets that end an attempt at the first chunk."""

    assets: Any

    async def read(self, *arguments: Any) -> AsyncIterator[bytes]:
        async for chunk in self.assets.read(*arguments):
            yield chunk
            raise asyncio.CancelledError


Wakes = Callable[[], None] | None


async def overtaken(
    attempts: Attempts, stop: Stop, *, type_: str = "upload", dies: bool = False, wakes: Wakes = None, **operation: Any
) -> SftpResult:
    """What the second attempt brings; the first one has gone on afterwards, until Temporal told it to end.

    `wakes` is called just before that, and once more when it has been told.
    """
    first = stopped_at(attempts, stop)
    if dies:
        first.assets = ShortOfBytes(attempts.assets)  # type: ignore[assignment]
    work = asyncio.create_task(first.do(type_, **operation))
    await asyncio.wait_for(stop.reached.wait(), 10)
    first.given_up = True
    attempts.told = first.told
    result = await attempts.do(type_, attempt=2, **operation)
    if wakes is not None:
        wakes()
    stop.over.set()
    await until(lambda: work.done() or first.waits)
    if wakes is not None:
        wakes()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return result


STOPS = {
    "before-it-looks": ("lstat", False),
    "before-the-first-byte": ("write", False),
    "in-the-middle": ("write", True),
    "before-it-compares": ("stat", False),
    "before-it-publishes": ("rename", False),
}


@pytest.mark.parametrize("overwrite", ["fail", "replace"])
@pytest.mark.parametrize("point", sorted(STOPS))
async def test_one_that_was_stopped_and_goes_on_when_another_has_published_changes_nothing_and_leaves_nothing(
    attempts: Attempts, content: bytes, point: str, overwrite: str
) -> None:
    if overwrite == "replace":
        attempts.path("file.bin").write_bytes(b"old")
    operation = upload_of(await attempts.keep(content), overwrite=overwrite, checksum_file=True)

    result = await overtaken(attempts, Stop(*STOPS[point]), **operation)

    assert attempts.path("file.bin").read_bytes() == content
    assert attempts.names() == ["file.bin", "file.bin.sha256"]
    assert (result.sha256, result.bytes) == (sha256(content), len(content))


@pytest.mark.parametrize("point", ["in-the-middle", "before-it-publishes"])
async def test_what_a_stopped_one_has_written_is_gone_on_with(attempts: Attempts, content: bytes, point: str) -> None:
    operation = upload_of(await attempts.keep(content))

    result = await overtaken(attempts, Stop(*STOPS[point]), **operation)

    assert (result.resumed_from > 0) is (point == "before-it-publishes")
    assert result.files[0].verified == ("read_back" if result.resumed_from else "acknowledged")


@pytest.mark.parametrize("point", sorted(STOPS))
async def test_one_that_goes_on_while_another_still_writes_spoils_nothing(
    attempts: Attempts, content: bytes, point: str
) -> None:
    operation = upload_of(await attempts.keep(content))
    first, second = (stopped_at(attempts, stop) for stop in (Stop(*STOPS[point]), Stop("write", mid=True)))
    before = asyncio.create_task(first.do("upload", **operation))
    await asyncio.wait_for(first.stop.reached.wait(), 10)
    first.given_up, second.told = True, first.told
    after = asyncio.create_task(second.do("upload", attempt=2, **operation))
    await asyncio.wait({after, asyncio.create_task(second.stop.reached.wait())}, return_when="FIRST_COMPLETED")

    first.stop.over.set()
    await until(lambda: before.done() or first.waits)
    second.clock = time.monotonic
    second.stop.over.set()
    await after
    before.cancel()
    await asyncio.gather(before, return_exceptions=True)

    assert attempts.path("file.bin").read_bytes() == content
    assert attempts.names() == ["file.bin"]


async def test_many_small_files_of_a_stopped_attempt_arrive_once_each(attempts: Attempts) -> None:
    assets = [await attempts.keep(f"content {index}".encode(), f"{index:02}.txt") for index in range(20)]
    files = [{"source": {"type": "asset", "asset": asset}, "path": "out/"} for asset in assets]

    await overtaken(attempts, Stop("rename"), files=files)

    assert attempts.names() == [f"out/{index:02}.txt" for index in range(20)]
    assert [attempts.path(name).read_text() for name in attempts.names()] == [f"content {index}" for index in range(20)]


@pytest.mark.parametrize("rename", [True, False], ids=["rename", "no-rename"])
async def test_one_that_wakes_before_its_first_byte_makes_nothing_though_it_could_be_killed_at_once(
    attempts: Attempts, rename: bool
) -> None:
    """An unfinished file would stay, or a file that somebody has taken away since would arrive once more."""
    attempts.modes = {"rename": rename}
    there: list[list[str]] = []

    def wakes() -> None:
        there.append(attempts.names())
        attempts.path("file.bin").unlink(missing_ok=True)

    await overtaken(attempts, Stop("write"), wakes=wakes, **upload_of(await attempts.keep(b"content")))

    assert there == [["file.bin"], []]


async def test_without_rename_a_stopped_one_neither_empties_nor_removes_the_file(
    attempts: Attempts, content: bytes
) -> None:
    attempts.modes = {"rename": False}

    result = await overtaken(attempts, Stop("write"), dies=True, **upload_of(await attempts.keep(content)))

    assert result.files[0].verified == "read_back"
    assert attempts.path("file.bin").read_bytes() == content


async def test_a_file_that_another_attempt_publishes_at_the_same_moment_is_ours(
    attempts: Attempts, content: bytes
) -> None:
    def published(source: str, target: str) -> bool:
        Path(source).rename(target)
        return False

    operation = upload_of(await attempts.keep(content))
    result = await attempts.do("upload", attempt=2, cut=Cut("rename", when=published), **operation)

    assert attempts.names() == ["file.bin"]
    assert result.sha256 == sha256(content)


async def test_a_file_that_is_published_just_when_it_is_taken_over_is_ours(attempts: Attempts, content: bytes) -> None:
    """By the attempt before, which stood still when it was about to."""
    operation = upload_of(await attempts.keep(content))
    with pytest.raises(CallFailed):
        await attempts.do("upload", cut=Cut("rename"), **operation)

    def published(source: str, *_: Any) -> bool:
        Path(source).rename(attempts.path("file.bin"))
        return False

    result = await attempts.do("upload", attempt=2, cut=Cut("rename", when=published), **operation)

    assert attempts.names() == ["file.bin"]
    assert result.sha256 == sha256(content)


@pytest.mark.parametrize("stays", [False, True], ids=["released", "held to the end"])
async def test_what_a_lost_session_still_has_open_is_left_and_the_file_is_sent_anew(
    troubled: Attempts, faulty: FaultySftp, content: bytes, stays: bool
) -> None:
    """Servers on Windows rename and remove no file that is open."""
    operation = upload_of(await troubled.keep(content))
    with pytest.raises(CallFailed):
        await troubled.do("upload", cut=Cut("rename"), **operation)
    (held,) = troubled.names()
    if stays:
        faulty.refuse["remove"] = asyncssh.SFTPPermissionDenied("it is being used by another process")

    def in_use(source: str, *_: str) -> bool:
        if source.endswith(held):
            raise SftpError("permission_denied", "it is being used by another process")
        return False

    result = await troubled.do("upload", attempt=2, cut=Cut("rename", when=in_use), **operation)

    assert (troubled.path("file.bin").read_bytes(), result.resumed_from) == (content, 0)
    assert troubled.names() == ([held] if stays else []) + ["file.bin"]
    assert [held in note for note in result.notes] == [True] * stays


async def test_what_a_late_one_leaves_does_not_hide_that_the_file_was_published(
    attempts: Attempts, content: bytes
) -> None:
    operation = upload_of(await attempts.keep(content))
    late = attempts.path(temporary_name("file.bin", f"{attempts.run}/0", "0123abcd"))
    attempts.told = {"begun": ["0123abcd"]}
    with pytest.raises(CallFailed):
        await attempts.do("upload", attempt=2, cut=Cut("rename", after=True), **operation)
    late.write_bytes(content[:1000])

    result = await attempts.do("upload", attempt=3, **operation)

    assert attempts.names() == ["file.bin"]
    assert result.sha256 == sha256(content)


async def test_a_link_that_somebody_plants_just_before_the_first_byte_is_not_written_through(
    attempts: Attempts, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")

    def planted(path: str, *_: Any) -> bool:
        Path(path).symlink_to(victim)
        return False

    operation = upload_of(await attempts.keep(b"x"), permissions="0777")
    await attempts.fails("upload", cut=Cut("write", when=planted), **operation)

    assert victim.read_bytes() == b"precious"
    assert victim.stat().st_mode & 0o777 != 0o777

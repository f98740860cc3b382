import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.errors import CliError, Status
from cli.files import write_whole

CONTENT = b"Dear bank,\n"


async def content() -> AsyncIterator[bytes]:
    yield CONTENT[:4]
    yield CONTENT[4:]


def write(path: Path, *, replace: bool) -> None:
    asyncio.run(write_whole(path, content(), replace=replace))


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link to a file of another folder."""
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("elsewhere/file.txt")
    return link


def test_a_file_that_was_named_itself_is_replaced(tmp_path: Path) -> None:
    there = tmp_path / "letter.txt"
    there.write_bytes(b"another one, and longer")

    write(there, replace=True)

    assert there.read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["letter.txt"]


@pytest.mark.parametrize("before", [b"another one", None], ids=["there", "not there"])
def test_a_link_stays_and_the_file_that_it_leads_to_is_written(link: Path, before: bytes | None) -> None:
    if before is not None:
        link.resolve().write_bytes(before)

    write(link, replace=True)

    assert link.is_symlink()
    assert link.resolve().read_bytes() == CONTENT
    assert os.listdir(link.parent / "elsewhere") == ["file.txt"]


def test_a_name_that_was_not_said_takes_the_place_of_no_link(link: Path) -> None:
    with pytest.raises(CliError, match="is there already"):
        write(link, replace=False)

    assert link.is_symlink()
    assert not link.exists()


async def test_a_pipe_is_written_into_as_soon_as_somebody_reads_it(pipe: Path) -> None:
    writing = asyncio.create_task(write_whole(pipe, content(), replace=True))
    await asyncio.sleep(0)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        await writing

        assert os.read(reader, 100) == CONTENT
        assert stat.S_ISFIFO(os.lstat(pipe).st_mode)
    finally:
        os.close(reader)


async def test_a_pipe_that_nobody_reads_can_be_given_up(pipe: Path) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write_whole(pipe, content(), replace=True), 0.01)


async def test_a_pipe_whose_reader_stands_still_can_be_given_up(pipe: Path) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    kept = threading.Timer(5, os.close, (reader,))
    kept.start()

    async def more_than_fits() -> AsyncIterator[bytes]:
        yield bytes(1 << 20)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write_whole(pipe, more_than_fits(), replace=True), 0.1)

    assert kept.is_alive()
    kept.cancel()
    os.close(reader)


def test_a_pipe_whose_reader_has_gone_is_told(pipe: Path) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    async def left_alone() -> AsyncIterator[bytes]:
        os.close(reader)
        yield CONTENT

    with pytest.raises(CliError, match=r"pipe: its reader has gone before all was written") as told:
        asyncio.run(write_whole(pipe, left_alone(), replace=True))

    assert told.value.status is Status.FAILED


async def test_all_of_a_large_piece_is_written_into_a_pipe(pipe: Path) -> None:
    large, read = os.urandom(300_000), bytearray()

    async def piece() -> AsyncIterator[bytes]:
        yield large

    def take() -> None:
        with pipe.open("rb") as reader:
            read.extend(reader.read())

    await asyncio.gather(write_whole(pipe, piece(), replace=True), asyncio.to_thread(take))

    assert read == large


def test_a_device_stays_one() -> None:
    terminal, device = os.openpty()
    path = Path(os.ttyname(device))
    try:
        write(path, replace=True)

        assert os.read(terminal, 100).replace(b"\r\n", b"\n") == CONTENT
        assert path.is_char_device()
    finally:
        os.close(terminal)
        os.close(device)


def test_what_a_process_has_open_as_a_file_is_written_to_at_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    with log.open("ab") as opened:
        write(Path(f"/dev/fd/{opened.fileno()}"), replace=True)

        assert os.path.samestat(os.fstat(opened.fileno()), log.stat())
    assert log.read_bytes() == b"before\n" + CONTENT


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"cannot be written \(Is a directory\)"):
        write(tmp_path, replace=True)

    assert tmp_path.is_dir()

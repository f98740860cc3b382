"""What can be done on a real OpenSSH server, and what is said when it cannot."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from net.sftp import SftpSession
from net.sftp_errors import SftpError
from net.ssh_pool import SshConnections
from tests.fixtures.ssh_connections import ssh_connections
from tests.fixtures.sshd import Sshd

CONTENT = random.Random(1).randbytes(3_000_000)


@pytest_asyncio.fixture(scope="module")
async def opened(sshd: Sshd) -> AsyncIterator[SshConnections]:
    async with ssh_connections() as connections:
        yield connections


@pytest_asyncio.fixture
async def session(sshd: Sshd, opened: SshConnections) -> AsyncIterator[SftpSession]:
    async with opened.session(sshd.server()) as session:
        yield session


@pytest.fixture
def folder(sshd: Sshd, request: pytest.FixtureRequest) -> Path:
    """A folder on the server for one test; here and there it has the same path."""
    name: str = request.node.name
    made = sshd.home / name.replace("/", "_")
    made.mkdir()
    return made


async def _chunks(content: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def _read(session: SftpSession, path: Path | str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([data async for data in session.read(str(path), start, length=length)])


async def test_what_is_written_is_there_byte_for_byte(session: SftpSession, folder: Path) -> None:
    marks: list[int] = []

    size = await session.write(str(folder / "a"), _chunks(CONTENT), on_progress=marks.append)

    assert (folder / "a").read_bytes() == CONTENT
    assert size == marks[-1] == len(CONTENT)
    assert marks == sorted(marks)


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 255 * 1024 + 1, len(CONTENT)])
async def test_a_file_of_any_size_goes_there_and_back(session: SftpSession, folder: Path, size: int) -> None:
    await session.write(str(folder / "a"), _chunks(CONTENT[:size]))

    assert await _read(session, folder / "a") == CONTENT[:size]


async def test_writing_goes_on_where_it_was_left_and_keeps_what_is_before(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT[:1_000_000])

    await session.write(str(folder / "a"), _chunks(CONTENT[900_000:]), start=900_000)

    assert (folder / "a").read_bytes() == CONTENT


async def test_what_an_earlier_attempt_wrote_behind_the_end_is_cut_off(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT[:500_000] + b"left over" * 1000)

    await session.write(str(folder / "a"), _chunks(CONTENT[400_000:500_000]), start=400_000)

    assert (folder / "a").read_bytes() == CONTENT[:500_000]


async def test_a_file_that_has_vanished_is_not_gone_on_with(session: SftpSession, folder: Path) -> None:
    with pytest.raises(SftpError) as refused:
        await session.write(str(folder / "a"), _chunks(b"x"), start=10)

    assert refused.value.code == "not_found"
    assert not (folder / "a").exists()


async def test_a_file_is_emptied_when_it_is_written_from_the_start(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(b"longer than what follows")

    await session.write(str(folder / "a"), _chunks(b"short"))

    assert (folder / "a").read_bytes() == b"short"


async def test_an_exclusive_write_leaves_what_is_there(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(b"mine")

    with pytest.raises(SftpError) as refused:
        await session.write(str(folder / "a"), _chunks(b"yours"), exclusive=True)

    assert refused.value.code == "already_exists"
    assert (folder / "a").read_bytes() == b"mine"


async def test_a_range_is_read(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)

    assert await session.read_range(str(folder / "a"), 100_000, 700_000) == CONTENT[100_000:800_000]
    assert await session.read_range(str(folder / "a"), len(CONTENT) - 5, 100) == CONTENT[-5:]
    assert await _read(session, folder / "a", 2_999_999) == CONTENT[-1:]
    assert await _read(session, folder / "a", 5_000_000) == b""


async def test_a_reader_may_leave_early(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    async with aclosing(session.read(str(folder / "a"))) as blocks:
        async for _ in blocks:
            break

    assert await session.stat(str(folder / "a")) is not None


async def test_a_file_is_described(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(b"12345")
    (folder / "a").chmod(0o640)
    os.utime(folder / "a", (1_700_000_000, 1_700_000_000))

    found = await session.stat(str(folder / "a"))

    assert found is not None
    assert (found.path, found.name, found.kind, found.size) == (str(folder / "a"), "a", "file", 5)
    assert (found.modified, found.permissions, found.refused) == (1_700_000_000, 0o640, None)


async def test_what_is_not_there_is_none(session: SftpSession, folder: Path) -> None:
    assert await session.stat(str(folder / "no" / "such")) is None
    assert await session.lstat(str(folder / "no")) is None


async def test_a_link_is_told_from_what_it_leads_to(session: SftpSession, folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")

    link, target = await session.lstat(str(folder / "link")), await session.stat(str(folder / "link"))

    assert link is not None
    assert target is not None
    assert (link.kind, target.kind) == ("link", "file")
    assert await session.realpath(str(folder / "link")) == "/etc/passwd"


async def test_a_folder_is_listed_without_following_links(session: SftpSession, folder: Path) -> None:
    (folder / "file").write_bytes(b"12")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("/etc/passwd")

    entries = [entry async for entry in session.list(str(folder))]

    assert {entry.name: (entry.kind, entry.path) for entry in entries} == {
        "file": ("file", str(folder / "file")),
        "folder": ("folder", str(folder / "folder")),
        "link": ("link", str(folder / "link")),
    }


async def test_names_that_must_not_be_used_are_listed_as_refused(session: SftpSession, folder: Path) -> None:
    for name in (b"new\nline", b"caf\xe9", b"fine"):
        (folder / os.fsdecode(name)).touch()

    entries = [entry async for entry in session.list(str(folder))]

    assert {entry.name: entry.refused for entry in entries} == {
        "new\nline": "holds a control character",
        "caf\\xe9": "is not UTF-8",
        "fine": None,
    }


async def test_a_long_folder_is_listed_whole_and_may_be_left_early(session: SftpSession, folder: Path) -> None:
    for number in range(700):
        (folder / str(number)).touch()

    async with aclosing(session.list(str(folder))) as entries:
        async for _ in entries:
            break

    assert len([entry async for entry in session.list(str(folder))]) == 700


@pytest.mark.parametrize(("replace", "there"), [(False, False), (True, False), (True, True)])
async def test_a_file_is_renamed(session: SftpSession, folder: Path, replace: bool, there: bool) -> None:
    (folder / "a").write_bytes(b"new")
    if there:
        (folder / "b").write_bytes(b"old")

    await session.rename(str(folder / "a"), str(folder / "b"), replace=replace)

    assert os.listdir(folder) == ["b"]
    assert (folder / "b").read_bytes() == b"new"


async def test_a_file_is_copied_by_the_server(session: SftpSession, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    (folder / "b").write_bytes(b"x" * 4_000_000)

    assert await session.copy(str(folder / "a"), str(folder / "b"))

    assert (folder / "b").read_bytes() == CONTENT


async def test_attributes_are_set(session: SftpSession, folder: Path) -> None:
    (folder / "a").touch()

    await session.set_attributes(str(folder / "a"), permissions=0o604, modified=1_600_000_000.7)

    assert (folder / "a").stat().st_mode & 0o777 == 0o604
    assert (folder / "a").stat().st_mtime == 1_600_000_000


async def test_folders_are_made_and_removed(session: SftpSession, folder: Path) -> None:
    await session.mkdir(str(folder / "new"), 0o750)
    made = (folder / "new").stat()
    await session.rmdir(str(folder / "new"))

    assert made.st_mode & 0o777 == 0o750
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    ("operation", "code", "said"),
    [
        ("mkdir file", "already_exists", "mkdir {folder}/file at {place}: something of that name exists already"),
        ("mkdir none/new", "not_found", "mkdir {folder}/none/new at {place}: there is no such file or folder"),
        ("rmdir full", "not_empty", "rmdir {folder}/full at {place}: the folder is not empty"),
        ("rmdir none", "not_found", "rmdir {folder}/none at {place}: there is no such file or folder"),
        ("remove none", "not_found", "remove {folder}/none at {place}: there is no such file or folder"),
        ("rename none file", "not_found", "rename {folder}/none at {place}: there is no such file or folder"),
        (
            "rename file full/x",
            "already_exists",
            "rename {folder}/file at {place}: something of that name exists already",
        ),
        ("read none", "not_found", "read {folder}/none at {place}: there is no such file or folder"),
        ("write none/x", "not_found", "write {folder}/none/x at {place}: there is no such file or folder"),
        ("list none", "not_found", "list {folder}/none at {place}: there is no such file or folder"),
    ],
)
async def test_a_failure_names_operation_path_and_server(
    sshd: Sshd, session: SftpSession, folder: Path, operation: str, code: str, said: str
) -> None:
    (folder / "file").touch()
    (folder / "full").mkdir()
    (folder / "full" / "x").touch()
    verb, *names = operation.split()

    with pytest.raises(SftpError) as refused:
        await _perform(session, verb, [str(folder / name) for name in names])

    assert refused.value.code == code
    assert str(refused.value) == said.format(folder=folder, place=sshd.place)


@pytest.mark.parametrize("path", ["", "a\0b", "a\nb", "x" * 5000])
@pytest.mark.parametrize("verb", ["mkdir", "rmdir", "remove", "read", "write", "list", "stat", "rename", "copy"])
async def test_a_path_that_no_server_should_see_is_refused(session: SftpSession, verb: str, path: str) -> None:
    with pytest.raises(SftpError) as refused:
        await _perform(session, verb, [path, "target"])

    assert refused.value.code == "bad_name"


async def _perform(session: SftpSession, verb: str, paths: list[str]) -> None:
    match verb:
        case "rename":
            await session.rename(paths[0], paths[1], replace=False)
        case "copy":
            await session.copy(paths[0], paths[1])
        case "read":
            await _read(session, paths[0])
        case "write":
            await session.write(paths[0], _chunks(b"x"))
        case "list":
            await anext(session.list(paths[0]))
        case _:
            await getattr(session, verb)(paths[0])


async def test_what_openssh_calls_a_bad_message_breaks_no_protocol(connections: SshConnections, sshd: Sshd) -> None:
    """It says so of whatever its system finds invalid, such as a folder that is to be moved into itself."""
    (sshd.home / "itself" / "sub").mkdir(parents=True)
    async with connections.session(sshd.server()) as session:
        with pytest.raises(SftpError) as refused:
            await session.rename(f"{sshd.root}/itself", f"{sshd.root}/itself/sub/itself", replace=True)
    assert refused.value.code == "failure"
    assert "Bad message" in str(refused.value)

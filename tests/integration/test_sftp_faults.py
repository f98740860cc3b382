"""Servers that fail, lie, or are hostile: an error that says so, in bounded time, and never a wrong file."""

import random
from collections.abc import AsyncIterator

import asyncssh
import pytest

from net.redaction import LIVE_SECRETS
from net.sftp import SftpSession
from net.sftp_errors import SftpError
from net.ssh_pool import SshConnections
from tests.fixtures.faulty_sftp import FaultySftp

CONTENT = random.Random(2).randbytes(2_000_000)


async def _chunks(content: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def _read(session: SftpSession, path: str) -> bytes:
    return b"".join([data async for data in session.read(path)])


async def test_a_line_that_breaks_in_a_write_leaves_a_mark_that_is_true(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.drop_after = 1_000_000
    marks = [0]
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as lost:
            await session.write("/a", _chunks(CONTENT), on_progress=marks.append)

    assert lost.value.code == "connection_lost"
    assert (faulty.folder / "a").read_bytes()[: marks[-1]] == CONTENT[: marks[-1]]


async def test_a_broken_write_goes_on_over_a_new_connection(faulty: FaultySftp, connections: SshConnections) -> None:
    faulty.drop_after = 1_000_000
    marks = [0]
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError):
            await session.write("/a", _chunks(CONTENT), on_progress=marks.append)
    async with connections.session(faulty.server()) as session:
        await session.write("/a", _chunks(CONTENT[marks[-1] :]), start=marks[-1])

    assert (faulty.folder / "a").read_bytes() == CONTENT
    assert faulty.connections == 2


async def test_a_line_that_breaks_in_a_read_is_no_end_of_the_file(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    (faulty.folder / "a").write_bytes(CONTENT)
    faulty.drop_after = 1_000_000
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as lost:
            await _read(session, "/a")

    assert lost.value.code == "connection_lost"


async def test_answers_in_another_order_make_no_other_file(faulty: FaultySftp, connections: SshConnections) -> None:
    faulty.shuffled = True
    marks: list[int] = []
    async with connections.session(faulty.server()) as session:
        await session.write("/a", _chunks(CONTENT), on_progress=marks.append)

        assert await _read(session, "/a") == CONTENT
    assert (faulty.folder / "a").read_bytes() == CONTENT
    assert marks == sorted(marks)


async def test_a_break_among_answers_in_another_order_leaves_no_gap_below_the_mark(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.shuffled = True
    faulty.drop_after = 1_200_000
    marks = [0]
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError):
            await session.write("/a", _chunks(CONTENT), on_progress=marks.append)

    assert (faulty.folder / "a").read_bytes()[: marks[-1]] == CONTENT[: marks[-1]]


async def test_short_answers_are_put_together(faulty: FaultySftp, connections: SshConnections) -> None:
    (faulty.folder / "a").write_bytes(CONTENT[:300_000])
    faulty.longest_read = 7_000
    async with connections.session(faulty.server()) as session:
        assert await _read(session, "/a") == CONTENT[:300_000]


@pytest.mark.parametrize("told", [0, 10, 10**15])
async def test_a_size_that_the_server_made_up_changes_nothing(
    faulty: FaultySftp, connections: SshConnections, told: int
) -> None:
    (faulty.folder / "a").write_bytes(CONTENT)
    faulty.told_size = told
    async with connections.session(faulty.server()) as session:
        found = await session.stat("/a")

        assert found is not None
        assert found.size == told
        assert await _read(session, "/a") == CONTENT


@pytest.mark.parametrize("explains", [True, False])
async def test_a_full_disk_is_called_that(faulty: FaultySftp, connections: SshConnections, explains: bool) -> None:
    faulty.capacity, faulty.explains = 600_000, explains
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as full:
            await session.write("/a", _chunks(CONTENT))

    assert full.value.code == "no_space"
    assert f"write /a at 127.0.0.1:{faulty.port}: the server has no space left" in str(full.value)


async def test_hostile_names_are_marked_and_the_rest_is_listed(faulty: FaultySftp, connections: SshConnections) -> None:
    faulty.listed = [b"../x", b"/etc/passwd", b"a\nb", b"a\0b", b"\xff", b"y" * 300, b"", b"..", b".", b"good"]
    async with connections.session(faulty.server()) as session:
        entries = [entry async for entry in session.list("/in")]

    assert [entry.name for entry in entries if entry.refused is None] == ["good"]
    assert len([entry for entry in entries if entry.refused is not None]) == 7


async def test_a_server_without_rename_over_files_says_so_only_when_one_is_there(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.without = {b"posix-rename@openssh.com"}
    (faulty.folder / "a").write_bytes(b"new")
    (faulty.folder / "b").write_bytes(b"old")
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as refused:
            await session.rename("/a", "/b", replace=True)
        await session.rename("/a", "/c", replace=True)

    assert refused.value.code == "unsupported"
    assert (faulty.folder / "b").read_bytes() == b"old"
    assert (faulty.folder / "c").read_bytes() == b"new"


async def test_a_server_that_copies_nothing_says_so(faulty: FaultySftp, connections: SshConnections) -> None:
    faulty.without = {b"copy-data"}
    (faulty.folder / "a").write_bytes(b"x")
    async with connections.session(faulty.server()) as session:
        assert not await session.copy("/a", "/b")

    assert not (faulty.folder / "b").exists()


async def test_a_server_without_fsync_or_limits_is_written_to_all_the_same(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.without = {b"fsync@openssh.com", b"limits@openssh.com"}
    async with connections.session(faulty.server()) as session:
        await session.write("/a", _chunks(CONTENT))

    assert (faulty.folder / "a").read_bytes() == CONTENT


async def test_a_rename_that_was_done_but_not_confirmed_is_a_lost_connection(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.lose_reply_of = {"rename"}
    (faulty.folder / "a").write_bytes(b"x")
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as lost:
            await session.rename("/a", "/b", replace=True)

    assert lost.value.code == "connection_lost"
    assert (faulty.folder / "b").exists()


async def test_what_the_server_says_is_shown_short_and_without_secrets(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    secret = "canary-77aa-passphrase"
    LIVE_SECRETS.add(secret)
    faulty.refuse["mkdir"] = asyncssh.SFTPFailure(f"user {secret}\n\x1b[2J" + "blah " * 200)
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as refused:
            await session.mkdir("/new")

    said = str(refused.value)
    assert "[redacted]" in said
    assert secret not in said
    assert said.isprintable()
    assert len(said) < 300


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncssh.SFTPPermissionDenied("no"), "permission_denied"),
        (asyncssh.SFTPOpUnsupported("no"), "unsupported"),
        (asyncssh.SFTPFailure("Quota exceeded"), "no_space"),
        (asyncssh.SFTPFailure(""), "failure"),
        (asyncssh.SFTPBadMessage("odd"), "protocol_error"),
    ],
)
async def test_an_error_of_the_server_has_a_code(
    faulty: FaultySftp, connections: SshConnections, error: asyncssh.SFTPError, code: str
) -> None:
    faulty.refuse["remove"] = error
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as refused:
            await session.remove("/a")

    assert refused.value.code == code


async def test_a_failed_close_of_a_written_file_is_a_failed_write(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.refuse["close"] = asyncssh.SFTPFailure("No space left on device")
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError) as full:
            await session.write("/a", _chunks(b"x"))

    assert full.value.code == "no_space"


async def test_a_transfer_that_fails_leaves_the_others_on_its_connection_alone(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    (faulty.folder / "a").write_bytes(CONTENT)
    async with connections.session(faulty.server()) as first, connections.session(faulty.server()) as second:
        blocks = first.read("/a")
        began = [await anext(blocks)]
        with pytest.raises(SftpError):
            await second.write("/none/x", _chunks(CONTENT))
        rest = [data async for data in blocks]

    assert b"".join(began + rest) == CONTENT
    assert faulty.connections == 1

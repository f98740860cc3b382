"""Replacing a file on servers that do that in one step, in several, or not at all: one of the two is always there."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from activities.parking import CallFailed
from activities.sftp_judge import PATIENCE
from definitions.run import Verdict
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import sha256, upload_of

CONTENT = b"content of ours"
POSIX_RENAME = b"posix-rename@openssh.com"


async def cut_off(attempts: Attempts, cut: Cut, **operation: Any) -> None:
    """An attempt whose line breaks at this point."""
    with pytest.raises(CallFailed):
        await attempts.do("upload", cut=cut, **operation)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than temporary files."""
    folder = Path("/dev/shm") / uuid.uuid4().hex
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("before", "verdict"), [(0, Verdict.AGAIN), (PATIENCE - 1, Verdict.FINAL)])
async def test_a_rename_that_cannot_succeed_leaves_the_old_file_as_it_was(
    attempts: Attempts, elsewhere: Path, before: int, verdict: Verdict
) -> None:
    """OpenSSH calls a rename across file systems a failure, as it does many other things."""
    attempts.told = {"refusals": before}
    attempts.path("file.bin").write_bytes(b"old")
    inode = attempts.path("file.bin").stat().st_ino
    attempts.root, attempts.modes = "/", {"temporary_folder": str(elsewhere).lstrip("/")}
    target = f"{attempts.folder}/file.bin".lstrip("/")

    failure = await attempts.fails("upload", **upload_of(await attempts.keep(b"new"), target, overwrite="replace"))

    assert failure.verdict is verdict
    assert attempts.path("file.bin").read_bytes() == b"old"
    assert attempts.path("file.bin").stat().st_ino == inode
    assert attempts.names() == ["file.bin"]


async def test_where_the_new_file_gets_no_name_the_old_one_gets_its_name_back(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.without.add(POSIX_RENAME)
    troubled.path("file.bin").write_bytes(b"old")

    def refuse(source: str, target: str) -> bool:
        faulty.refuse.pop("rename", None)
        if source.endswith(".part") and not troubled.path("file.bin").exists():
            faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")
        return False

    operation = upload_of(await troubled.keep(b"new"), overwrite="replace")
    failure = await troubled.fails("upload", cut=Cut("rename", when=refuse), **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "permission_denied")
    assert troubled.path("file.bin").read_bytes() == b"old"
    assert troubled.names() == ["file.bin"]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_the_old_file_makes_way_ends_with_the_new_one_alone(
    troubled: Attempts, faulty: FaultySftp, number: int, after: bool
) -> None:
    faulty.without.add(POSIX_RENAME)
    troubled.path("file.bin").write_bytes(b"old")
    operation = upload_of(await troubled.keep(b"new"), overwrite="replace")
    with pytest.raises(CallFailed):
        await troubled.do("upload", cut=Cut("rename", number=number, after=after), **operation)

    await troubled.do("upload", attempt=2, **operation)

    assert troubled.path("file.bin").read_bytes() == b"new"
    assert troubled.names() == ["file.bin"]


async def test_what_is_the_only_copy_is_no_leftover_and_the_failure_says_where_it_is(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.without.add(POSIX_RENAME)
    troubled.path("file.bin").write_bytes(b"old")
    operation = upload_of(await troubled.keep(b"new"), overwrite="replace")
    with pytest.raises(CallFailed):
        await troubled.do("upload", cut=Cut("rename", number=2, after=True), **operation)
    faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")

    failure = await troubled.fails("upload", attempt=2, **operation)

    held = {troubled.path(name).read_bytes(): name for name in troubled.names()}
    assert failure.verdict is Verdict.FINAL
    assert set(held) == {b"old", b"new"}
    assert all(name in failure.message for name in held.values())


async def test_a_server_that_does_not_permit_to_replace_has_the_old_file_set_aside(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.without.add(POSIX_RENAME)
    troubled.path("file.bin").write_bytes(b"old")

    def refuse(source: str, target: str) -> bool:
        faulty.refuse.pop("rename", None)
        if troubled.path(target.rpartition("/")[2]).exists():
            faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")
        return False

    operation = upload_of(await troubled.keep(b"new"), overwrite="replace")
    await troubled.do("upload", cut=Cut("rename", when=refuse), **operation)

    assert troubled.path("file.bin").read_bytes() == b"new"
    assert troubled.names() == ["file.bin"]


@pytest.mark.parametrize("newer", [b"x" * len(CONTENT), b"of another size"], ids=["same-size", "other-size"])
async def test_a_newer_file_in_the_place_of_ours_is_not_replaced_though_replacing_was_allowed(
    attempts: Attempts, newer: bytes
) -> None:
    operation = upload_of(await attempts.keep(CONTENT), overwrite="replace")
    await cut_off(attempts, Cut("rename", after=True), **operation)
    attempts.path("file.bin").write_bytes(newer)

    failure = await attempts.fails("upload", attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.UNKNOWN, "outcome_unknown")
    assert "is not what was sent" in failure.message
    assert attempts.path("file.bin").read_bytes() == newer


@pytest.mark.parametrize("more", [{}, {"verify": "size"}, {"overwrite": "replace"}], ids=str)
async def test_a_file_that_has_both_names_is_published(attempts: Attempts, more: dict[str, Any]) -> None:
    """OpenSSH's own rename makes a second link, then removes the first; it can be killed in between."""
    operation = upload_of(await attempts.keep(CONTENT), **more)
    await cut_off(attempts, Cut("rename"), **operation)
    attempts.path("file.bin").hardlink_to(attempts.path(attempts.names()[0]))
    inode = attempts.path("file.bin").stat().st_ino

    result = await attempts.do("upload", attempt=2, **operation)

    assert attempts.names() == ["file.bin"]
    assert (attempts.path("file.bin").stat().st_ino, result.sha256) == (inode, sha256(CONTENT))


@pytest.mark.parametrize("verify", ["auto", "size"])
async def test_an_old_file_of_the_same_size_is_not_taken_for_a_second_name_of_ours(
    attempts: Attempts, verify: str
) -> None:
    attempts.path("file.bin").write_bytes(b"x" * len(CONTENT))
    operation = upload_of(await attempts.keep(CONTENT), overwrite="replace", verify=verify)
    await cut_off(attempts, Cut("rename"), **operation)

    await attempts.do("upload", attempt=2, **operation)

    assert attempts.names() == ["file.bin"]
    assert attempts.path("file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("type_", ["upload", "copy", "move"])
async def test_a_server_whose_rename_replaces_is_asked_once_more_before_a_file_that_is_to_stay(
    troubled: Attempts, faulty: FaultySftp, type_: str
) -> None:
    faulty.rename_replaces = True
    troubled.path("a").write_bytes(CONTENT)
    looks = 0

    def appears(path: str) -> bool:
        nonlocal looks
        looks += path.endswith("/b")
        if looks == 2:
            troubled.path("b").write_bytes(b"theirs")
        return False

    operation = upload_of(await troubled.keep(CONTENT), "b") if type_ == "upload" else {"path": "a", "to": "b"}
    failure = await troubled.fails(type_, cut=Cut("lstat", when=appears), **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert troubled.path("b").read_bytes() == b"theirs"
    assert troubled.names() == ["a", "b"]


async def test_there_a_file_that_another_attempt_publishes_at_the_same_moment_is_ours(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.rename_replaces = True

    def published(path: str) -> bool:
        if path.endswith("file.bin") and (parts := list(troubled.folder.glob("*.part"))):
            parts[0].rename(troubled.path("file.bin"))
        return False

    result = await troubled.do("upload", cut=Cut("lstat", when=published), **upload_of(await troubled.keep(CONTENT)))

    assert troubled.names() == ["file.bin"]
    assert result.sha256 == sha256(CONTENT)

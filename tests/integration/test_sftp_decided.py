"""Uploads that have failed for good, and that somebody decides to try again."""

from typing import Any

import asyncssh
import pytest

from activities.parking import CallFailed
from definitions.run import Verdict
from net.sftp_errors import SftpError
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import sha256, upload_of

OLD, NEW = b"old!", b"new!"


async def replacing(attempts: Attempts, **more: Any) -> dict[str, Any]:
    """What replaces `b` by a file of the same size."""
    attempts.path("b").write_bytes(OLD)
    return upload_of(await attempts.keep(NEW), "b", overwrite="replace", on_failure="park", **more)


@pytest.mark.parametrize("verify", ["auto", "size"])
async def test_what_was_not_published_and_has_been_removed_is_sent_again(
    troubled: Attempts, faulty: FaultySftp, verify: str
) -> None:
    operation = await replacing(troubled, verify=verify)
    faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")
    failure = await troubled.fails("upload", **operation)
    names = troubled.names()
    faulty.refuse.clear()

    await troubled.do("upload", **operation)

    assert (failure.verdict, names) == (Verdict.FINAL, ["b"])
    assert troubled.names() == ["b"]
    assert troubled.path("b").read_bytes() == NEW


async def test_what_was_not_published_is_no_question_where_nothing_had_the_name(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    operation = upload_of(await troubled.keep(NEW), on_failure="park")
    faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")
    await troubled.fails("upload", **operation)
    faulty.refuse.clear()

    await troubled.do("upload", **operation)

    assert troubled.path("file.bin").read_bytes() == NEW


async def test_a_removal_whose_answer_is_lost_is_a_removal(troubled: Attempts, faulty: FaultySftp) -> None:
    operation = await replacing(troubled, verify="size")
    faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")
    faulty.lose_reply_of.add("remove")
    await troubled.fails("upload", **operation)
    faulty.refuse.clear()

    await troubled.do("upload", **operation)

    assert troubled.path("b").read_bytes() == NEW


async def test_what_may_have_been_published_before_the_failure_is_still_known_for_ours(troubled: Attempts) -> None:
    operation = upload_of(await troubled.keep(NEW), on_failure="park")
    with pytest.raises(CallFailed):
        await troubled.do("upload", cut=Cut("rename", after=True), **operation)
    inode = troubled.path("file.bin").stat().st_ino

    def denied(*_: object) -> bool:
        raise SftpError("permission_denied", "no")

    failure = await troubled.fails("upload", attempt=2, cut=Cut("lstat", when=denied), **operation)
    result = await troubled.do("upload", **operation)

    assert failure.verdict is Verdict.FINAL
    assert troubled.path("file.bin").stat().st_ino == inode
    assert result.sha256 == sha256(NEW)

"""Files that make way for others, where no rename replaces them: whatever ends the attempt, one has the name."""

import asyncio
from typing import Any

import asyncssh
import pytest

from activities.parking import CallFailed
from definitions.run import Verdict
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut, run_to_be_cancelled
from tests.fixtures.sftp_runs import upload_of

OLD, NEW = b"the old one", b"new"
SET_ASIDE = Cut("rename", number=2, after=True)
"""The first rename is refused, the second sets the old file aside, the third gives the new one its name."""


@pytest.fixture(autouse=True)
def replaces_nothing(faulty: FaultySftp) -> None:
    faulty.without.add(b"posix-rename@openssh.com")


async def replacing(attempts: Attempts, type_: str) -> dict[str, Any]:
    """What replaces `b`, from `a` or from an asset."""
    attempts.path("b").write_bytes(OLD)
    if type_ == "upload":
        return upload_of(await attempts.keep(NEW), "b", overwrite="replace")
    attempts.path("a").write_bytes(NEW)
    return {"path": "a", "to": "b", "overwrite": "replace"}


async def cut_off(attempts: Attempts, type_: str, cut: Cut, **operation: Any) -> None:
    cut.seen = 0
    with pytest.raises(CallFailed):
        await attempts.do(type_, cut=cut, **operation)


@pytest.mark.parametrize("type_", ["upload", "copy", "move"])
@pytest.mark.parametrize(
    ("method", "number", "done"),
    [("rename", 1, False), ("rename", 2, False), ("rename", 3, True), ("remove", 1, True)],
    ids=["first rename", "old file set aside", "new name given", "old file removed"],
)
async def test_a_cancelled_replacement_ends_with_one_of_the_two_files_and_nothing_beside_it(
    troubled: Attempts, type_: str, method: str, number: int, done: bool
) -> None:
    operation = await replacing(troubled, type_)

    with pytest.raises(asyncio.CancelledError):
        await run_to_be_cancelled(troubled, type_, Cut(method, number), operation)

    source = {"upload": [], "copy": ["a"], "move": [] if done else ["a"]}[type_]
    assert troubled.names() == [*source, "b"]
    assert troubled.path("b").read_bytes() == (NEW if done else OLD)


@pytest.mark.parametrize("type_", ["upload", "copy", "move"])
async def test_an_attempt_that_lives_on_when_the_line_is_lost_tells_the_next_one_what_may_be_set_aside(
    troubled: Attempts, faulty: FaultySftp, type_: str
) -> None:
    operation = await replacing(troubled, type_)

    def lost(_: str, target: str) -> bool:
        if target.endswith(".old"):
            faulty.lose_reply_of.add("rename")
        return False

    await troubled.fails(type_, cut=Cut("rename", when=lost), **operation)
    await troubled.do(type_, attempt=2, **operation)

    assert troubled.names() == (["a", "b"] if type_ == "copy" else ["b"])
    assert troubled.path("b").read_bytes() == NEW


@pytest.mark.parametrize("type_", ["upload", "copy", "move"])
async def test_the_old_file_gets_its_name_back_when_nothing_can_replace_it_any_more(
    troubled: Attempts, faulty: FaultySftp, type_: str
) -> None:
    operation = await replacing(troubled, type_)
    await cut_off(troubled, type_, SET_ASIDE, **operation)
    if type_ == "upload":
        faulty.refuse["open"] = asyncssh.SFTPPermissionDenied("no")
    else:
        troubled.path("a").unlink()

    failure = await troubled.fails(type_, attempt=2, **operation)

    assert failure.verdict is (Verdict.UNKNOWN if type_ == "move" else Verdict.FINAL)
    assert troubled.names() == ["b"]
    assert troubled.path("b").read_bytes() == OLD
    assert ".old" not in failure.message


async def test_the_old_file_has_its_name_while_a_person_decides_what_became_of_the_new_one(troubled: Attempts) -> None:
    operation = await replacing(troubled, "upload")
    await cut_off(troubled, "upload", SET_ASIDE, **operation)
    next(troubled.folder.glob("*.part")).unlink()

    failure = await troubled.fails("upload", attempt=2, **operation)
    names, old = troubled.names(), troubled.path("b").read_bytes()
    await troubled.do("upload", attempt=3, **operation)

    assert (failure.verdict, names, old) == (Verdict.UNKNOWN, ["b"], OLD)
    assert (troubled.names(), troubled.path("b").read_bytes()) == (["b"], NEW)


@pytest.mark.parametrize("type_", ["copy", "move"])
async def test_a_failure_names_what_is_set_aside_where_it_cannot_be_put_back(
    troubled: Attempts, faulty: FaultySftp, type_: str
) -> None:
    operation = await replacing(troubled, type_)
    await cut_off(troubled, type_, SET_ASIDE, **operation)
    faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")

    failure = await troubled.fails(type_, attempt=2, **operation)

    held = {troubled.path(name).read_bytes(): name for name in troubled.names()}
    assert failure.verdict is Verdict.FINAL
    assert "b was set aside as" in failure.message
    assert all(held[content] in failure.message for content in (OLD, NEW))


async def test_a_checksum_that_was_set_aside_is_no_leftover(troubled: Attempts) -> None:
    operation = await replacing(troubled, "upload") | {"checksum_file": True}
    troubled.path("b.sha256").write_bytes(b"of the old one")
    await cut_off(troubled, "upload", SET_ASIDE, **operation)

    await troubled.do("upload", attempt=2, **operation)

    assert troubled.names() == ["b", "b.sha256"]
    assert troubled.path("b").read_bytes() == NEW


async def test_a_result_names_what_could_not_be_removed(troubled: Attempts, faulty: FaultySftp) -> None:
    operation = await replacing(troubled, "upload")
    faulty.refuse["remove"] = asyncssh.SFTPPermissionDenied("no")

    result = await troubled.do("upload", **operation)

    (old,) = [name for name in troubled.names() if name != "b"]
    assert troubled.path(old).read_bytes() == OLD
    assert old in result.notes[-1]

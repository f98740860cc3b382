"""Moves, deletions and copies where a name may stand for another file than it did: nothing is lost by them."""

import os
from typing import Any

import asyncssh
import pytest

from activities.parking import CallFailed
from activities.sftp_judge import PATIENCE
from definitions.run import Verdict
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import upload_of

POSIX_RENAME = b"posix-rename@openssh.com"


@pytest.mark.parametrize("overwrite", ["fail", "replace"])
async def test_a_file_moved_onto_itself_is_refused_and_stays(
    troubled: Attempts, faulty: FaultySftp, overwrite: str
) -> None:
    faulty.without = {POSIX_RENAME}
    troubled.path("a").write_bytes(b"precious")

    failure = await troubled.fails("move", path="a", to="./a", overwrite=overwrite)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "invalid_request")
    assert troubled.path("a").read_bytes() == b"precious"


@pytest.mark.parametrize("refusals", [0, PATIENCE - 1])
async def test_a_file_whose_new_name_is_itself_in_other_capitals_is_never_removed_to_make_place(
    troubled: Attempts, faulty: FaultySftp, refusals: int
) -> None:
    faulty.without, faulty.folds_case = {POSIX_RENAME}, True
    troubled.told = {"refusals": refusals}
    troubled.path("report").write_bytes(b"precious")

    failure = await troubled.fails("move", path="report", to="REPORT", overwrite="replace")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert troubled.path("report").read_bytes() == b"precious"
    assert faulty.calls["remove"] == 0


async def cut_off(attempts: Attempts, type_: str, cut: Cut, **operation: Any) -> None:
    with pytest.raises(CallFailed) as raised:
        await attempts.do(type_, cut=cut, **operation)
    assert raised.value.failure.verdict is Verdict.AGAIN


async def test_a_new_file_under_the_name_of_a_deleted_one_is_left_alone(attempts: Attempts) -> None:
    attempts.path("a").write_bytes(b"one")
    await cut_off(attempts, "delete", Cut("remove", after=True), path="a")
    attempts.path("a").write_bytes(b"another, new")

    result = await attempts.do("delete", attempt=2, path="a")

    assert attempts.path("a").read_bytes() == b"another, new"
    assert "another file has its name now" in result.notes[0]


async def test_a_new_file_under_the_name_of_a_moved_one_is_left_alone(attempts: Attempts) -> None:
    attempts.path("a").write_bytes(b"one")
    operation: dict[str, Any] = {"path": "a", "to": "b", "overwrite": "replace"}
    await cut_off(attempts, "move", Cut("rename", after=True), **operation)
    attempts.path("a").write_bytes(b"another, new")

    result = await attempts.do("move", attempt=2, **operation)

    assert (attempts.path("a").read_bytes(), attempts.path("b").read_bytes()) == (b"another, new", b"one")
    assert "another file has its name now" in result.notes[0]


async def test_a_moved_file_that_is_not_at_its_new_name_is_for_a_person_though_another_has_the_old_one(
    attempts: Attempts,
) -> None:
    attempts.path("a").write_bytes(b"one")
    await cut_off(attempts, "move", Cut("rename", after=True), path="a", to="b")
    attempts.path("b").unlink()
    attempts.path("a").write_bytes(b"another, new")

    failure = await attempts.fails("move", attempt=2, path="a", to="b")

    assert (failure.verdict, failure.category) == (Verdict.UNKNOWN, "outcome_unknown")
    assert attempts.path("a").read_bytes() == b"another, new"


async def test_a_folder_whose_deletion_was_cut_off_half_way_is_deleted_whole(attempts: Attempts) -> None:
    for name in "abc":
        attempts.path("old/below").mkdir(parents=True, exist_ok=True)
        attempts.path(f"old/below/{name}").touch()
    os.utime(attempts.path("old"), (1000, 1000))
    await cut_off(attempts, "delete", Cut("rmdir", after=True), path="old", recursive=True)

    await attempts.do("delete", attempt=2, path="old", recursive=True)

    assert not attempts.path("old").exists()


async def test_a_new_folder_under_the_name_of_a_deleted_one_is_left_alone(attempts: Attempts) -> None:
    attempts.path("old").mkdir()
    attempts.path("old/a").touch()
    whole = Cut("rmdir", after=True, when=lambda path: path.endswith("/old"))
    await cut_off(attempts, "delete", whole, path="old", recursive=True)
    attempts.path("old").mkdir()
    attempts.path("old/b").touch()
    os.utime(attempts.path("old"), (1000, 1000))

    result = await attempts.do("delete", attempt=2, path="old", recursive=True)

    assert attempts.names() == ["old/b"]
    assert "another file has its name now" in result.notes[0]


@pytest.mark.parametrize(
    ("type_", "fault", "operation"), [("delete", "remove", {"path": "a"}), ("move", "rename", {"path": "a", "to": "b"})]
)
async def test_what_the_server_refused_to_do_is_done_later_also_when_the_file_has_changed_since(
    troubled: Attempts, faulty: FaultySftp, type_: str, fault: str, operation: dict[str, Any]
) -> None:
    troubled.path("a").write_bytes(b"one")
    faulty.refuse = {fault: asyncssh.SFTPFailure("Failure")}
    refused = await troubled.fails(type_, **operation)
    faulty.refuse = {}
    troubled.path("a").write_bytes(b"changed")

    await troubled.do(type_, attempt=2, **operation)

    assert refused.verdict is Verdict.AGAIN
    assert "a" not in troubled.names()


@pytest.mark.parametrize("type_", ["move", "copy"])
@pytest.mark.parametrize(
    ("method", "number", "after"),
    [("rename", 2, True), ("rename", 3, False), ("rename", 3, True), ("remove", 1, False)],
    ids=["old file set aside", "before the new name", "after the new name", "before the old file goes"],
)
async def test_a_replacement_that_was_cut_off_leaves_the_new_file_alone_where_no_rename_replaces(
    troubled: Attempts, faulty: FaultySftp, type_: str, method: str, number: int, after: bool
) -> None:
    faulty.without = {POSIX_RENAME}
    troubled.path("a").write_bytes(b"new")
    troubled.path("b").write_bytes(b"the old one")
    operation: dict[str, Any] = {"path": "a", "to": "b", "overwrite": "replace"}
    await cut_off(troubled, type_, Cut(method, number=number, after=after), **operation)

    await troubled.do(type_, attempt=2, **operation)

    assert troubled.names() == (["b"] if type_ == "move" else ["a", "b"])
    assert troubled.path("b").read_bytes() == b"new"


async def test_a_name_that_leaves_no_room_for_its_checksum_is_refused_before_anything_is_sent(
    attempts: Attempts,
) -> None:
    operation = upload_of(await attempts.keep(b"x"), "n" * 249, checksum_file=True)

    failure = await attempts.fails("upload", **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
    assert failure.suggested_action == "give the file a shorter name, or leave the checksum out"


async def test_the_longest_name_that_has_a_checksum_arrives_with_it(attempts: Attempts) -> None:
    await attempts.do("upload", **upload_of(await attempts.keep(b"x"), "n" * 248, checksum_file=True))

    assert attempts.names() == ["n" * 248, f"{'n' * 248}.sha256"]

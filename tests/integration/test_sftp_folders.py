"""Making, moving, copying and deleting on a real OpenSSH server, and a look at one thing."""

import os
from typing import Any

import pytest

from activities.parking import CallFailed
from definitions.run import Verdict
from tests.fixtures.sftp_attempts import Attempts, Cut


async def cut_off(attempts: Attempts, type_: str, cut: Cut, **operation: Any) -> None:
    with pytest.raises(CallFailed) as raised:
        await attempts.do(type_, cut=cut, **operation)
    assert raised.value.failure.verdict is Verdict.AGAIN


async def test_a_pipe_is_told_to_be_neither_a_file_nor_a_folder(attempts: Attempts) -> None:
    attempts.put("in/a.csv")
    os.mkfifo(attempts.path("in/pipe"))

    seen = await attempts.do("stat", path="in/pipe")
    with pytest.raises(CallFailed) as refused:
        await attempts.do("download", paths=["in/pipe"])

    assert seen.message == "in/pipe is neither a file nor a folder"
    assert refused.value.failure.message.endswith("in/pipe is neither a file nor a folder")


async def test_stat_tells_of_a_link_as_a_link(attempts: Attempts) -> None:
    attempts.path("link").symlink_to("/etc/passwd")

    result = await attempts.do("stat", path="link")

    assert [entry.kind for entry in result.entries or ()] == ["link"]


async def test_stat_of_nothing_fails_and_exists_says_no(attempts: Attempts) -> None:
    failure = await attempts.fails("stat", path="missing")
    result = await attempts.do("exists", path="missing/deeper")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "not_found")
    assert result.exists is False


async def test_exists_says_yes(attempts: Attempts) -> None:
    attempts.put("a")

    assert (await attempts.do("exists", path="a")).exists is True


async def test_folders_are_made_with_their_parents_and_again_is_no_fault(attempts: Attempts) -> None:
    await attempts.do("mkdir", path="a/b/c", permissions="0750")
    again = await attempts.do("mkdir", path="a/b/c")

    assert attempts.path("a/b/c").stat().st_mode & 0o777 == 0o750
    assert again.message == "a/b/c was there"


async def test_a_folder_is_not_made_where_a_file_is(attempts: Attempts) -> None:
    attempts.put("a")

    failure = await attempts.fails("mkdir", path="a")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_a_file_is_moved_leaves_it_at_its_new_place_alone(
    attempts: Attempts, after: bool
) -> None:
    attempts.put("a", content=b"content")
    operation: dict[str, Any] = {"path": "a", "to": "done/b"}
    await cut_off(attempts, "move", Cut("rename", after=after), **operation)

    result = await attempts.do("move", attempt=2, **operation)

    assert attempts.names() == ["done/b"]
    assert result.paths == ("done/b",)


async def test_a_moved_file_that_is_at_neither_place_is_for_a_person_to_decide(attempts: Attempts) -> None:
    attempts.put("a")
    operation: dict[str, Any] = {"path": "a", "to": "b"}
    await cut_off(attempts, "move", Cut("rename", after=True), **operation)
    attempts.path("b").unlink()

    failure = await attempts.fails("move", attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.UNKNOWN, "outcome_unknown")


async def test_what_was_never_there_is_not_taken_for_moved(attempts: Attempts) -> None:
    attempts.put("b")

    failure = await attempts.fails("move", attempt=2, path="a", to="b")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "not_found")


@pytest.mark.parametrize("type_", ["move", "copy"])
async def test_a_target_that_is_there_is_replaced_only_when_asked(attempts: Attempts, type_: str) -> None:
    attempts.put("a", content=b"new")
    attempts.put("b", content=b"old")
    failure = await attempts.fails(type_, path="a", to="b")
    before = attempts.path("b").read_bytes()

    await attempts.do(type_, path="a", to="b", overwrite="replace")

    assert (failure.verdict, failure.category, before) == (Verdict.FINAL, "already_exists", b"old")
    assert attempts.path("b").read_bytes() == b"new"


async def test_a_copy_is_seen_whole_and_keeps_its_source(attempts: Attempts) -> None:
    attempts.put("a", content=b"content" * 100_000)

    result = await attempts.do("copy", path="a", to="copies/")

    assert attempts.names() == ["a", "copies/a"]
    assert attempts.path("copies/a").read_bytes() == b"content" * 100_000
    assert result.bytes == 700_000


async def test_a_server_that_copies_nothing_has_it_go_through_here(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from net.sftp import SftpSession

    async def offers_none(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(SftpSession, "copy", offers_none)
    attempts.put("a", content=b"content")

    result = await attempts.do("copy", path="a", to="b")

    assert attempts.path("b").read_bytes() == b"content"
    assert "the content went through here" in result.notes[0]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_a_copy_gets_its_name_leaves_one_of_it(attempts: Attempts, after: bool) -> None:
    attempts.put("a", content=b"content")
    await cut_off(attempts, "copy", Cut("rename", after=after), path="a", to="b")

    await attempts.do("copy", attempt=2, path="a", to="b")

    assert attempts.names() == ["a", "b"]
    assert attempts.path("b").read_bytes() == b"content"


async def test_a_copy_of_the_same_content_is_skipped(attempts: Attempts) -> None:
    attempts.put("a", "b", content=b"content")

    result = await attempts.do("copy", path="a", to="b", overwrite="skip_if_same")

    assert result.files[0].skipped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_a_file_is_deleted_is_no_fault_of_the_next_attempt(
    attempts: Attempts, after: bool
) -> None:
    attempts.put("a")
    await cut_off(attempts, "delete", Cut("remove", after=after), path="a")

    await attempts.do("delete", attempt=2, path="a")

    assert attempts.names() == []


async def test_what_is_missing_is_deleted_only_when_that_is_allowed(attempts: Attempts) -> None:
    failure = await attempts.fails("delete", attempt=2, path="missing")
    result = await attempts.do("delete", path="missing", missing_ok=True)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "not_found")
    assert result.success


async def test_a_folder_is_deleted_with_what_it_holds_but_not_what_its_links_lead_to(attempts: Attempts) -> None:
    attempts.put("old/a/1", "old/2", "kept/3")
    attempts.path("old/a/link").symlink_to(attempts.path("kept"))
    refused = await attempts.fails("delete", path="old")

    await attempts.do("delete", path="old", recursive=True)

    assert (refused.verdict, refused.category) == (Verdict.FINAL, "not_empty")
    assert attempts.names() == ["kept/3"]
    assert not attempts.path("old").exists()


@pytest.mark.parametrize("below", ["", "/below"], ids=["top", "below"])
async def test_what_comes_into_a_folder_while_it_is_deleted_is_deleted_too(attempts: Attempts, below: str) -> None:
    attempts.put("old/below/1")
    coming = iter(range(3))

    def comes(path: str) -> bool:
        if path.endswith(f"old{below}") and (number := next(coming, None)) is not None:
            attempts.put(f"old{below}/new{number}")
        return False

    await attempts.do("delete", path="old", recursive=True, cut=Cut("rmdir", when=comes))

    assert not attempts.path("old").exists()
    assert next(coming, None) is None


async def test_a_folder_that_was_not_empty_after_all_is_still_the_one_to_be_deleted(attempts: Attempts) -> None:
    attempts.put("old/1")

    def comes(path: str) -> bool:
        if path.endswith("/1"):
            attempts.put("old/new")
        else:
            os.utime(attempts.path("old"), (1_700_000_000, 1_700_000_000))  # as something that comes changes it
        return True

    await cut_off(attempts, "delete", Cut("remove", number=2, when=comes), path="old", recursive=True)

    result = await attempts.do("delete", attempt=2, path="old", recursive=True)

    assert not attempts.path("old").exists()
    assert not result.notes


async def test_a_folder_into_which_files_come_all_the_time_is_told_of(attempts: Attempts) -> None:
    attempts.put("old/1")
    coming = iter(range(100))

    def comes(_: str) -> bool:
        attempts.put(f"old/new{next(coming)}")
        return False

    failure = await attempts.fails("delete", path="old", recursive=True, cut=Cut("rmdir", when=comes))

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "not_empty")
    assert failure.suggested_action == "stop what writes there, then try again"


@pytest.mark.parametrize("permissions", ["0777", "750"])
async def test_a_folder_has_the_permissions_that_were_asked_for_whatever_the_server_takes_away(
    attempts: Attempts, permissions: str
) -> None:
    await cut_off(attempts, "mkdir", Cut("set_attributes"), path="lost", permissions="0777")

    await attempts.do("mkdir", attempt=2, path="lost", permissions="0777")
    attempts.forget()
    await attempts.do("mkdir", path="new", permissions=permissions)

    assert attempts.path("lost").stat().st_mode & 0o777 == 0o777
    assert attempts.path("new").stat().st_mode & 0o777 == int(permissions, 8)


async def test_a_folder_that_was_there_keeps_its_permissions(attempts: Attempts) -> None:
    attempts.path("old").mkdir(mode=0o700)

    await attempts.do("mkdir", path="old", permissions="0777")

    assert attempts.path("old").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("path", [".", "/", "a/.."])
async def test_the_root_folder_itself_is_not_deleted(attempts: Attempts, path: str) -> None:
    attempts.put("a")

    with pytest.raises((CallFailed, ValueError), match=r"bad_path|\.\."):
        await attempts.do("delete", path=path, recursive=True)

    assert attempts.names() == ["a"]


async def test_a_folder_is_not_moved_into_itself(attempts: Attempts) -> None:
    attempts.put("in/a.csv")
    with pytest.raises(CallFailed, match=r"in cannot be moved into itself|invalid_request") as refused:
        await attempts.do("move", path="in", to="in/sub/")
    assert refused.value.failure.category == "invalid_request"
    assert attempts.path("in/a.csv").exists()
    assert not attempts.path("in/sub").exists()

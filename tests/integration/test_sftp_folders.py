"""Looking, making, moving, copying and deleting on a real OpenSSH server."""

import os
from typing import Any

import pytest

from activities.parking import CallFailed
from definitions.run import Verdict
from tests.fixtures.sftp_attempts import Attempts, Cut


def put(attempts: Attempts, *names: str, content: bytes = b"x") -> None:
    for name in names:
        attempts.path(name).parent.mkdir(parents=True, exist_ok=True)
        attempts.path(name).write_bytes(content)


async def cut_off(attempts: Attempts, type_: str, cut: Cut, **operation: Any) -> None:
    with pytest.raises(CallFailed) as raised:
        await attempts.do(type_, cut=cut, **operation)
    assert raised.value.failure.verdict is Verdict.AGAIN


async def listed(attempts: Attempts, **operation: Any) -> list[str]:
    entries = (await attempts.do("list", **operation)).entries
    assert entries is not None
    return [entry.path for entry in entries]


async def test_a_listing_tells_what_there_is(attempts: Attempts) -> None:
    put(attempts, "in/a.csv", content=b"12345")
    os.utime(attempts.path("in/a.csv"), (1_700_000_000, 1_700_000_000))
    attempts.path("in/a.csv").chmod(0o640)

    result = await attempts.do("list", path="in")

    assert result.entries is not None
    entry = result.entries[0]
    assert (entry.path, entry.name, entry.kind, entry.size) == ("in/a.csv", "a.csv", "file", 5)
    assert (entry.modified and entry.modified.timestamp(), entry.permissions) == (1_700_000_000, "0640")


async def test_a_pipe_is_told_to_be_neither_a_file_nor_a_folder(attempts: Attempts) -> None:
    put(attempts, "in/a.csv")
    os.mkfifo(attempts.path("in/pipe"))

    seen = await attempts.do("stat", path="in/pipe")
    with pytest.raises(CallFailed) as refused:
        await attempts.do("download", paths=["in/pipe"])

    assert seen.message == "in/pipe is neither a file nor a folder"
    assert refused.value.failure.message.endswith("in/pipe is neither a file nor a folder")


async def test_a_recursive_listing_is_sorted_by_path_and_follows_no_links(attempts: Attempts) -> None:
    put(attempts, "b/2.csv", "a/1.csv", "c.csv", "c.txt")
    attempts.path("a/up.csv").symlink_to("..")

    found = await listed(attempts, recursive=True, glob="*.csv")

    assert found == ["a/1.csv", "a/up.csv", "b/2.csv", "c.csv"]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["name", "size", "modified"])
async def test_pages_bring_every_entry_once_in_order(attempts: Attempts, sort: str, descending: bool) -> None:
    for index in range(25):
        put(attempts, f"{index:02}.txt", content=b"x" * (index % 4))
        os.utime(attempts.path(f"{index:02}.txt"), (1000 + index % 3, 1000 + index % 3))
    pages: list[list[str]] = []
    cursor = None
    while not pages or cursor:
        page = await attempts.do("list", sort=sort, descending=descending, limit=4, cursor=cursor)
        assert page.entries is not None
        pages.append([entry.path for entry in page.entries])
        cursor = page.next_cursor

    whole = await listed(attempts, sort=sort, descending=descending)

    assert [path for page in pages for path in page] == whole
    assert len(set(whole)) == 25


async def test_a_page_does_not_move_when_files_come_before_it(attempts: Attempts) -> None:
    put(attempts, "b", "c", "d")
    first = await attempts.do("list", limit=2)
    put(attempts, "a")

    second = await listed(attempts, limit=2, cursor=first.next_cursor)

    assert second == ["d"]


@pytest.mark.parametrize("cursor", ["nonsense", "WyJzaXplIiwgZmFsc2UsIDAuMCwgImEiXQ==", "W10=", "W1tb" * 3000])
async def test_a_cursor_of_another_listing_is_refused(attempts: Attempts, cursor: str) -> None:
    failure = await attempts.fails("list", cursor=cursor)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "invalid_request")


async def test_files_that_were_just_written_are_left_out_by_their_age(attempts: Attempts) -> None:
    put(attempts, "old", "new")
    os.utime(attempts.path("old"), (1_700_000_000, 1_700_000_000))

    assert await listed(attempts, min_age=60) == ["old"]
    assert await listed(attempts, since="2024-01-01T00:00:00Z") == ["new"]


async def test_hostile_names_are_left_out_of_a_listing_and_told(attempts: Attempts) -> None:
    put(attempts, "a\nb", "fine")

    result = await attempts.do("list")

    assert [entry.name for entry in result.entries or ()] == ["fine"]
    assert "left out" in result.notes[0]
    assert "\n" not in result.notes[0]


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
    put(attempts, "a")

    assert (await attempts.do("exists", path="a")).exists is True


async def test_folders_are_made_with_their_parents_and_again_is_no_fault(attempts: Attempts) -> None:
    await attempts.do("mkdir", path="a/b/c", permissions="0750")
    again = await attempts.do("mkdir", path="a/b/c")

    assert attempts.path("a/b/c").stat().st_mode & 0o777 == 0o750
    assert again.message == "a/b/c was there"


async def test_a_folder_is_not_made_where_a_file_is(attempts: Attempts) -> None:
    put(attempts, "a")

    failure = await attempts.fails("mkdir", path="a")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_a_file_is_moved_leaves_it_at_its_new_place_alone(
    attempts: Attempts, after: bool
) -> None:
    put(attempts, "a", content=b"content")
    operation: dict[str, Any] = {"path": "a", "to": "done/b"}
    await cut_off(attempts, "move", Cut("rename", after=after), **operation)

    result = await attempts.do("move", attempt=2, **operation)

    assert attempts.names() == ["done/b"]
    assert result.paths == ("done/b",)


async def test_a_moved_file_that_is_at_neither_place_is_for_a_person_to_decide(attempts: Attempts) -> None:
    put(attempts, "a")
    operation: dict[str, Any] = {"path": "a", "to": "b"}
    await cut_off(attempts, "move", Cut("rename", after=True), **operation)
    attempts.path("b").unlink()

    failure = await attempts.fails("move", attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.UNKNOWN, "outcome_unknown")


async def test_what_was_never_there_is_not_taken_for_moved(attempts: Attempts) -> None:
    put(attempts, "b")

    failure = await attempts.fails("move", attempt=2, path="a", to="b")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "not_found")


@pytest.mark.parametrize("type_", ["move", "copy"])
async def test_a_target_that_is_there_is_replaced_only_when_asked(attempts: Attempts, type_: str) -> None:
    put(attempts, "a", content=b"new")
    put(attempts, "b", content=b"old")
    failure = await attempts.fails(type_, path="a", to="b")
    before = attempts.path("b").read_bytes()

    await attempts.do(type_, path="a", to="b", overwrite="replace")

    assert (failure.verdict, failure.category, before) == (Verdict.FINAL, "already_exists", b"old")
    assert attempts.path("b").read_bytes() == b"new"


async def test_a_copy_is_seen_whole_and_keeps_its_source(attempts: Attempts) -> None:
    put(attempts, "a", content=b"content" * 100_000)

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
    put(attempts, "a", content=b"content")

    result = await attempts.do("copy", path="a", to="b")

    assert attempts.path("b").read_bytes() == b"content"
    assert "the content went through here" in result.notes[0]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_a_copy_gets_its_name_leaves_one_of_it(attempts: Attempts, after: bool) -> None:
    put(attempts, "a", content=b"content")
    await cut_off(attempts, "copy", Cut("rename", after=after), path="a", to="b")

    await attempts.do("copy", attempt=2, path="a", to="b")

    assert attempts.names() == ["a", "b"]
    assert attempts.path("b").read_bytes() == b"content"


async def test_a_copy_of_the_same_content_is_skipped(attempts: Attempts) -> None:
    put(attempts, "a", "b", content=b"content")

    result = await attempts.do("copy", path="a", to="b", overwrite="skip_if_same")

    assert result.files[0].skipped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_a_file_is_deleted_is_no_fault_of_the_next_attempt(
    attempts: Attempts, after: bool
) -> None:
    put(attempts, "a")
    await cut_off(attempts, "delete", Cut("remove", after=after), path="a")

    await attempts.do("delete", attempt=2, path="a")

    assert attempts.names() == []


async def test_what_is_missing_is_deleted_only_when_that_is_allowed(attempts: Attempts) -> None:
    failure = await attempts.fails("delete", attempt=2, path="missing")
    result = await attempts.do("delete", path="missing", missing_ok=True)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "not_found")
    assert result.success


async def test_a_folder_is_deleted_with_what_it_holds_but_not_what_its_links_lead_to(attempts: Attempts) -> None:
    put(attempts, "old/a/1", "old/2", "kept/3")
    attempts.path("old/a/link").symlink_to(attempts.path("kept"))
    refused = await attempts.fails("delete", path="old")

    await attempts.do("delete", path="old", recursive=True)

    assert (refused.verdict, refused.category) == (Verdict.FINAL, "not_empty")
    assert attempts.names() == ["kept/3"]
    assert not attempts.path("old").exists()


@pytest.mark.parametrize("below", ["", "/below"], ids=["top", "below"])
async def test_what_comes_into_a_folder_while_it_is_deleted_is_deleted_too(attempts: Attempts, below: str) -> None:
    put(attempts, "old/below/1")
    coming = iter(range(3))

    def comes(path: str) -> bool:
        if path.endswith(f"old{below}") and (number := next(coming, None)) is not None:
            put(attempts, f"old{below}/new{number}")
        return False

    await attempts.do("delete", path="old", recursive=True, cut=Cut("rmdir", when=comes))

    assert not attempts.path("old").exists()
    assert next(coming, None) is None


async def test_a_folder_that_was_not_empty_after_all_is_still_the_one_to_be_deleted(attempts: Attempts) -> None:
    put(attempts, "old/1")

    def comes(path: str) -> bool:
        if path.endswith("/1"):
            put(attempts, "old/new")
        else:
            os.utime(attempts.path("old"), (1_700_000_000, 1_700_000_000))  # as something that comes changes it
        return True

    await cut_off(attempts, "delete", Cut("remove", number=2, when=comes), path="old", recursive=True)

    result = await attempts.do("delete", attempt=2, path="old", recursive=True)

    assert not attempts.path("old").exists()
    assert not result.notes


async def test_a_folder_into_which_files_come_all_the_time_is_told_of(attempts: Attempts) -> None:
    put(attempts, "old/1")
    coming = iter(range(100))

    def comes(_: str) -> bool:
        put(attempts, f"old/new{next(coming)}")
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
    put(attempts, "a")

    with pytest.raises((CallFailed, ValueError), match=r"bad_path|\.\."):
        await attempts.do("delete", path=path, recursive=True)

    assert attempts.names() == ["a"]


@pytest.mark.parametrize(
    ("type_", "operation"),
    [
        ("list", {"path": "."}),
        ("delete", {"path": "in", "recursive": True}),
        ("download", {"paths": ["in/*"], "glob": True}),
    ],
)
async def test_an_operation_looks_at_so_many_entries_and_no_more(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch, type_: str, operation: dict[str, Any]
) -> None:
    monkeypatch.setattr("activities.sftp_entries.MAX_SEEN", 3)
    put(attempts, *(f"in/{index}" for index in range(4)), *"abcd")

    failure = await attempts.fails(type_, **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "too_many_entries")


async def test_a_listing_ends_so_many_folders_down_and_says_so(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.sftp_list.MAX_DEPTH", 2)
    put(attempts, "a/b/c/deep", "a/flat")

    result = await attempts.do("list", recursive=True, kind="file")

    assert [entry.path for entry in result.entries or ()] == ["a/flat"]
    assert "levels down" in result.notes[0]


async def test_the_longest_path_in_any_script_is_a_place_to_go_on_from(attempts: Attempts) -> None:
    folder = attempts.folder
    while len(bytes(folder)) < 4096 - 2 * 256:
        folder = folder / ("数" * 85)
        folder.mkdir()
    for last in "123":
        (folder / f"{'数' * 80}{last}").touch()
    operation: dict[str, Any] = {"recursive": True, "kind": "file", "limit": 1}
    first = await attempts.do("list", **operation)

    second = await listed(attempts, **operation, cursor=first.next_cursor)

    assert [path[-1] for path in second] == ["2"]


async def test_a_folder_is_not_moved_into_itself(attempts: Attempts) -> None:
    put(attempts, "in/a.csv")
    with pytest.raises(CallFailed, match=r"in cannot be moved into itself|invalid_request") as refused:
        await attempts.do("move", path="in", to="in/sub/")
    assert refused.value.failure.category == "invalid_request"
    assert attempts.path("in/a.csv").exists()
    assert not attempts.path("in/sub").exists()

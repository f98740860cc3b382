"""Listings of a real OpenSSH server: what is in them, in which order, and up to which limits."""

import os
from typing import Any

import pytest

from definitions.run import Verdict
from tests.fixtures.sftp_attempts import Attempts


async def listed(attempts: Attempts, **operation: Any) -> list[str]:
    entries = (await attempts.do("list", **operation)).entries
    assert entries is not None
    return [entry.path for entry in entries]


async def test_a_listing_tells_what_there_is(attempts: Attempts) -> None:
    attempts.put("in/a.csv", content=b"12345")
    os.utime(attempts.path("in/a.csv"), (1_700_000_000, 1_700_000_000))
    attempts.path("in/a.csv").chmod(0o640)

    result = await attempts.do("list", path="in")

    assert result.entries is not None
    entry = result.entries[0]
    assert (entry.path, entry.name, entry.kind, entry.size) == ("in/a.csv", "a.csv", "file", 5)
    assert (entry.modified and entry.modified.timestamp(), entry.permissions) == (1_700_000_000, "0640")


async def test_a_recursive_listing_is_sorted_by_path_and_follows_no_links(attempts: Attempts) -> None:
    attempts.put("b/2.csv", "a/1.csv", "c.csv", "c.txt")
    attempts.path("a/up.csv").symlink_to("..")

    found = await listed(attempts, recursive=True, glob="*.csv")

    assert found == ["a/1.csv", "a/up.csv", "b/2.csv", "c.csv"]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["name", "size", "modified"])
async def test_pages_bring_every_entry_once_in_order(attempts: Attempts, sort: str, descending: bool) -> None:
    for index in range(25):
        attempts.put(f"{index:02}.txt", content=b"x" * (index % 4))
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
    attempts.put("b", "c", "d")
    first = await attempts.do("list", limit=2)
    attempts.put("a")

    second = await listed(attempts, limit=2, cursor=first.next_cursor)

    assert second == ["d"]


@pytest.mark.parametrize("cursor", ["nonsense", "WyJzaXplIiwgZmFsc2UsIDAuMCwgImEiXQ==", "W10=", "W1tb" * 3000])
async def test_a_cursor_of_another_listing_is_refused(attempts: Attempts, cursor: str) -> None:
    failure = await attempts.fails("list", cursor=cursor)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "invalid_request")


async def test_files_that_were_just_written_are_left_out_by_their_age(attempts: Attempts) -> None:
    attempts.put("old", "new")
    os.utime(attempts.path("old"), (1_700_000_000, 1_700_000_000))

    assert await listed(attempts, min_age=60) == ["old"]
    assert await listed(attempts, since="2024-01-01T00:00:00Z") == ["new"]


async def test_hostile_names_are_left_out_of_a_listing_and_told(attempts: Attempts) -> None:
    attempts.put("a\nb", "fine")

    result = await attempts.do("list")

    assert [entry.name for entry in result.entries or ()] == ["fine"]
    assert "left out" in result.notes[0]
    assert "\n" not in result.notes[0]


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
    attempts.put(*(f"in/{index}" for index in range(4)), *"abcd")

    failure = await attempts.fails(type_, **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "too_many_entries")


async def test_a_listing_ends_so_many_folders_down_and_says_so(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.sftp_list.MAX_DEPTH", 2)
    attempts.put("a/b/c/deep", "a/flat")

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

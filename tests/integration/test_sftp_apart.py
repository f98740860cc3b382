"""A download of several files, some of which fail: the others are fetched, and each that failed is named."""

from typing import Any

import asyncssh
import pytest

from activities import sftp_download
from activities.sftp_judge import PATIENCE
from definitions.run import Verdict
from net.sftp import SftpSession
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import aged, sha256

ALL: dict[str, Any] = {"paths": ["*.csv"], "glob": True}


@pytest.fixture
def three(attempts: Attempts) -> Attempts:
    """Files a.csv, b.csv and c.csv are there."""
    return _with_three(attempts)


@pytest.fixture
def refusing(troubled: Attempts, faulty: FaultySftp) -> Attempts:
    """The same on a server that lets nobody remove anything."""
    faulty.refuse["remove"] = asyncssh.SFTPPermissionDenied("Permission denied")
    return _with_three(troubled)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Young files are looked at again without a wait between."""
    monkeypatch.setattr(sftp_download, "SETTLED_AFTER", 0.0)


def _with_three(attempts: Attempts) -> Attempts:
    for name in ("a.csv", "b.csv", "c.csv"):
        attempts.path(name).write_bytes(name.encode())
    aged(attempts.folder)
    return attempts


def _of(attempts: Attempts, name: str, then: Any) -> Any:
    """A condition of a cut that never cuts, but does something when this file is asked for."""

    def when(path: str, *_: Any) -> bool:
        if path.endswith(name):
            then(attempts.path(name))
        return False

    return when


async def test_what_failed_is_named_beside_what_was_fetched(three: Attempts) -> None:
    three.path("b.csv").write_bytes(b"too large")
    aged(three.folder)

    result = await three.do("download", after="delete", max_bytes=5, **ALL)

    (failed,) = result.failed
    assert (result.success, result.paths) == (False, ("a.csv", "c.csv"))
    assert (failed.path, failed.category, failed.sha256) == ("b.csv", "too_large", None)
    assert three.names() == ["b.csv"]
    assert result.message == "fetched 2 files: 10 bytes; 1 failed"


async def test_what_was_fetched_and_cannot_be_deleted_is_told_with_its_hash(refusing: Attempts) -> None:
    result = await refusing.do("download", after="delete", **ALL)

    assert result.paths == ("a.csv", "b.csv", "c.csv")
    assert [(each.path, each.category, each.sha256) for each in result.failed] == [
        (name, "permission_denied", sha256(name.encode())) for name in ("a.csv", "b.csv", "c.csv")
    ]


async def test_a_single_file_that_was_fetched_and_cannot_be_deleted_fails_and_is_told_with_its_hash(
    refusing: Attempts,
) -> None:
    failure = await refusing.fails("download", paths=["a.csv"], after="delete")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "permission_denied")
    assert f"a.csv ({sha256(b'a.csv')})" in failure.message


async def test_a_run_that_parks_waits_when_the_others_are_fetched_and_goes_on_with_the_rest(three: Attempts) -> None:
    operation = {**ALL, "after": "delete", "max_bytes": 5, "on_failure": "park"}
    for name in ("a.csv", "b.csv"):
        three.path(name).write_bytes(b"too large")
    failure = await three.fails("download", **operation)
    for name in ("a.csv", "b.csv"):
        three.path(name).write_bytes(b"fits")
        aged(three.path(name))

    result = await three.do("download", attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "too_large")
    assert "1 more files failed: b.csv" in failure.message
    assert f"c.csv ({sha256(b'c.csv')})" in failure.message
    assert (result.success, result.paths) == (True, ("a.csv", "b.csv", "c.csv"))


async def test_where_every_file_fails_the_run_does(three: Attempts) -> None:
    failure = await three.fails("download", max_bytes=1, **ALL)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "too_large")
    assert three.names() == ["a.csv", "b.csv", "c.csv"]


async def test_named_files_of_which_one_is_missing_are_left_where_they_are(three: Attempts) -> None:
    failure = await three.fails("download", paths=["a.csv", "nosuch.csv", "b.csv"], after="delete")

    assert failure.category == "not_found"
    assert three.names() == ["a.csv", "b.csv", "c.csv"]


async def test_what_somebody_takes_away_before_it_is_looked_at_is_no_failure(three: Attempts) -> None:
    gone = _of(three, "b.csv", lambda path: path.unlink(missing_ok=True))

    result = await three.do("download", cut=Cut("lstat", when=gone), **ALL)

    assert (result.success, result.paths) == (True, ("a.csv", "c.csv"))
    assert result.notes == ("b.csv is gone: somebody else has taken it away",)


async def test_what_somebody_takes_away_before_it_is_read_is_no_failure(
    three: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, gone = SftpSession.read, _of(three, "b.csv", lambda path: path.unlink(missing_ok=True))

    def reading(session: SftpSession, path: str, *arguments: Any, **more: Any) -> Any:
        gone(path)
        return read(session, path, *arguments, **more)

    monkeypatch.setattr(SftpSession, "read", reading)

    result = await three.do("download", **ALL)

    assert (result.success, result.paths) == (True, ("a.csv", "c.csv"))
    assert result.notes == ("b.csv is gone: somebody else has taken it away",)


@pytest.mark.usefixtures("at_once")
async def test_one_that_keeps_growing_is_left_alone_in_the_end_and_holds_no_other_up(three: Attempts) -> None:
    three.path("b.csv").write_bytes(b"")  # now
    grows = _of(three, "b.csv", lambda path: path.write_bytes(path.read_bytes() + b"more"))
    operation = {**ALL, "after": "delete"}

    first = await three.fails("download", cut=Cut("lstat", when=grows), **operation)
    left = three.names()
    for attempt in range(2, PATIENCE):
        await three.fails("download", attempt=attempt, cut=Cut("lstat", when=grows), **operation)
    result = await three.do("download", attempt=PATIENCE, cut=Cut("lstat", when=grows), **operation)

    assert (first.verdict, first.category, left) == (Verdict.AGAIN, "source_changed", ["b.csv"])
    assert [(each.path, each.category) for each in result.failed] == [("b.csv", "source_changed")]
    assert result.paths == ("a.csv", "c.csv")


@pytest.mark.usefixtures("at_once")
async def test_a_run_that_parks_asks_about_one_that_keeps_growing_when_the_others_are_fetched(three: Attempts) -> None:
    three.path("b.csv").write_bytes(b"")  # now
    grows = _of(three, "b.csv", lambda path: path.write_bytes(path.read_bytes() + b"more"))
    operation = {**ALL, "after": "delete", "on_failure": "park"}

    verdicts = [
        (await three.fails("download", attempt=attempt, cut=Cut("lstat", when=grows), **operation)).verdict
        for attempt in range(1, PATIENCE + 1)
    ]
    again = await three.do("download", attempt=PATIENCE + 1, **operation)

    assert verdicts == [Verdict.AGAIN] * (PATIENCE - 1) + [Verdict.FINAL]
    assert again.paths == ("a.csv", "b.csv", "c.csv")


@pytest.mark.usefixtures("at_once")
async def test_one_that_keeps_growing_and_is_all_there_is_may_do_so_for_as_long_as_it_likes(attempts: Attempts) -> None:
    attempts.path("b.csv").write_bytes(b"")  # now
    grows = _of(attempts, "b.csv", lambda path: path.write_bytes(path.read_bytes() + b"more"))

    failures = [
        await attempts.fails("download", attempt=attempt, cut=Cut("lstat", when=grows), after="delete", **ALL)
        for attempt in range(1, PATIENCE + 2)
    ]

    assert {(each.verdict, each.category) for each in failures} == {(Verdict.AGAIN, "source_changed")}


@pytest.mark.parametrize("names", [["*.csv"], ["a.csv", "b.csv"]], ids=["found", "named"])
async def test_a_server_that_reads_none_of_them_and_says_not_why_is_believed_at_the_fifth_time(
    troubled: Attempts, faulty: FaultySftp, names: list[str]
) -> None:
    _with_three(troubled)
    faulty.refuse["open"] = asyncssh.SFTPFailure("no")
    operation: dict[str, Any] = {"paths": names, "glob": names == ["*.csv"]}

    verdicts = [
        (await troubled.fails("download", attempt=attempt, **operation)).verdict for attempt in range(1, PATIENCE + 2)
    ]

    assert verdicts == [*[Verdict.AGAIN] * (PATIENCE - 1), Verdict.FINAL, Verdict.AGAIN]


@pytest.mark.usefixtures("at_once")
async def test_a_named_file_may_grow_for_as_long_as_it_likes(three: Attempts) -> None:
    three.path("b.csv").write_bytes(b"")  # now
    grows = _of(three, "b.csv", lambda path: path.write_bytes(path.read_bytes() + b"more"))
    operation: dict[str, Any] = {"paths": ["a.csv", "b.csv"], "after": "delete"}

    failures = [
        await three.fails("download", attempt=attempt, cut=Cut("lstat", when=grows), **operation)
        for attempt in range(1, PATIENCE + 2)
    ]

    assert {(each.verdict, each.category) for each in failures} == {(Verdict.AGAIN, "source_changed")}
    assert list(three.progress.fetched) == ["a.csv"]


@pytest.mark.parametrize("name", ["~$a.xlsx", "{a}.xlsx"], ids=["tilde", "braces"])
async def test_a_name_that_a_path_could_not_have_is_deleted_as_any(attempts: Attempts, name: str) -> None:
    attempts.path(name).write_bytes(b"lock")
    aged(attempts.folder)

    result = await attempts.do("download", paths=["*"], glob=True, after="delete")

    assert (result.success, result.paths) == (True, (name,))
    assert attempts.names() == []

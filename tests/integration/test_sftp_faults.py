"""Transfers on servers that drop, stall, refuse, lie, and take files away."""

import hashlib
from dataclasses import replace

import asyncssh
import pytest

from activities.parking import CallFailed
from activities.sftp_judge import PATIENCE
from definitions.run import Failure, Verdict
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import aged, sha256, upload_of


@pytest.fixture(scope="module")
def content() -> bytes:
    """6 MB in which no part is like another."""
    return b"".join(hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(190_000))


def told(failure: Failure) -> tuple[Verdict, str]:
    return failure.verdict, failure.category


async def test_an_upload_goes_on_after_the_line_was_lost_in_the_middle(
    troubled: Attempts, faulty: FaultySftp, content: bytes
) -> None:
    operation = upload_of(await troubled.keep(content))
    faulty.drop_after = 5_500_000
    failure = await troubled.fails("upload", **operation)

    result = await troubled.do("upload", attempt=2, **operation)

    assert told(failure) == (Verdict.AGAIN, "connection_lost")
    assert result.resumed_from > 1_000_000
    assert troubled.path("file.bin").read_bytes() == content
    assert troubled.names() == ["file.bin"]


async def test_writes_that_are_answered_in_any_order_leave_no_gap_after_a_lost_line(
    troubled: Attempts, faulty: FaultySftp, content: bytes
) -> None:
    operation = upload_of(await troubled.keep(content))
    faulty.shuffled, faulty.drop_after = True, 5_500_000
    await troubled.fails("upload", **operation)
    acknowledged = troubled.progress.files[0].offset

    result = await troubled.do("upload", attempt=2, **operation)

    assert acknowledged <= 5_500_000
    assert result.files[0].verified == "read_back"
    assert troubled.path("file.bin").read_bytes() == content


async def test_a_download_goes_on_after_the_line_was_lost_in_the_middle(
    troubled: Attempts, faulty: FaultySftp, content: bytes
) -> None:
    troubled.path("big.bin").write_bytes(content)
    aged(troubled.folder)
    faulty.drop_after = 5_000_000
    failure = await troubled.fails("download", paths=["big.bin"])

    result = await troubled.do("download", attempt=2, paths=["big.bin"])

    assert told(failure) == (Verdict.AGAIN, "connection_lost")
    assert result.resumed_from > 0
    assert result.sha256 == sha256(content)


async def test_a_server_that_stalls_in_the_middle_is_given_up_in_time(
    troubled: Attempts, faulty: FaultySftp, content: bytes
) -> None:
    faulty.stall_after = 1_000_000
    operation = upload_of(await troubled.keep(content), stall_after=0.3)

    failure = await troubled.fails("upload", **operation)

    assert told(failure) == (Verdict.AGAIN, "stalled")


async def test_a_transfer_that_takes_longer_than_it_may_is_ended(
    troubled: Attempts, faulty: FaultySftp, content: bytes
) -> None:
    faulty.stall_after = 1_000_000
    operation = upload_of(await troubled.keep(content), timeout=0.3)

    failure = await troubled.fails("upload", **operation)

    assert told(failure) == (Verdict.AGAIN, "timeout")


async def test_a_rename_whose_answer_was_lost_is_not_done_twice(troubled: Attempts, faulty: FaultySftp) -> None:
    faulty.lose_reply_of.add("rename")
    operation = upload_of(await troubled.keep(b"content"))
    failure = await troubled.fails("upload", **operation)

    await troubled.do("upload", attempt=2, **operation)

    assert told(failure) == (Verdict.AGAIN, "connection_lost")
    assert faulty.calls["rename"] == 1
    assert troubled.names() == ["file.bin"]


async def test_a_server_that_replaces_nothing_has_the_old_file_set_aside_first_and_the_result_says_so(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.without.add(b"posix-rename@openssh.com")
    troubled.path("file.bin").write_bytes(b"old")

    result = await troubled.do("upload", **upload_of(await troubled.keep(b"new"), overwrite="replace"))

    assert troubled.path("file.bin").read_bytes() == b"new"
    assert troubled.names() == ["file.bin"]
    assert "set aside just before" in result.notes[0]


async def test_a_line_lost_between_removing_and_renaming_ends_with_the_new_file(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.without.add(b"posix-rename@openssh.com")
    faulty.lose_reply_of.add("remove")
    troubled.path("file.bin").write_bytes(b"old")
    operation = upload_of(await troubled.keep(b"new"), overwrite="replace")
    await troubled.fails("upload", **operation)

    await troubled.do("upload", attempt=2, **operation)

    assert troubled.path("file.bin").read_bytes() == b"new"
    assert troubled.names() == ["file.bin"]


async def test_a_full_server_is_a_failure_for_good_and_nothing_stays_there(
    troubled: Attempts, faulty: FaultySftp, content: bytes
) -> None:
    faulty.capacity = 1_000_000

    failure = await troubled.fails("upload", **upload_of(await troubled.keep(content)))

    assert told(failure) == (Verdict.FINAL, "no_space")
    assert "make room" in failure.suggested_action
    assert troubled.names() == []


async def test_a_login_without_the_right_to_write_is_a_failure_for_good(troubled: Attempts, faulty: FaultySftp) -> None:
    faulty.refuse["open"] = asyncssh.SFTPPermissionDenied("Permission denied")

    failure = await troubled.fails("upload", **upload_of(await troubled.keep(b"x")))

    assert told(failure) == (Verdict.FINAL, "permission_denied")
    assert "bank-main" in failure.suggested_action


async def test_hostile_names_of_a_listing_are_never_used(troubled: Attempts, faulty: FaultySftp) -> None:
    faulty.listed = [b"../x", b"/etc/passwd", b"a\nb", b"a\0b", b"\xff", b"", b"fine.csv"]
    troubled.path("fine.csv").write_bytes(b"1")
    aged(troubled.folder)

    shown = await troubled.do("list")
    fetched = await troubled.do("download", paths=["*"], glob=True)

    assert [entry.path for entry in shown.entries or ()] == ["fine.csv"]
    assert fetched.paths == ("fine.csv",)
    assert len(shown.notes) == 6
    assert all(note.isprintable() for note in (*shown.notes, *fetched.notes))


@pytest.mark.parametrize("told_size", [1, 10_000])
async def test_a_file_that_is_longer_or_shorter_than_the_server_says_is_no_asset(
    troubled: Attempts, faulty: FaultySftp, told_size: int
) -> None:
    troubled.path("a").write_bytes(b"x" * 100)
    aged(troubled.folder)
    faulty.told_size = told_size

    failure = await troubled.fails("download", paths=["a"], after="delete")

    assert told(failure) == (Verdict.AGAIN, "source_changed")
    assert troubled.names() == ["a"]


async def test_a_file_that_never_ends_is_cut_off_at_the_limit(troubled: Attempts, faulty: FaultySftp) -> None:
    troubled.path("a").write_bytes(b"x" * 3_000_000)
    aged(troubled.folder)
    faulty.told_size = 10

    failure = await troubled.fails("download", paths=["a"], max_bytes=1_000_000)

    assert told(failure) == (Verdict.FINAL, "too_large")


async def test_a_server_that_hides_what_has_arrived_needs_a_word_in_the_integration(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.hides_arrivals = True

    failure = await troubled.fails("upload", **upload_of(await troubled.keep(b"x")))

    assert told(failure) == (Verdict.FINAL, "unsupported")
    assert "stat_after_upload: false" in failure.message


async def test_a_server_that_hides_what_has_arrived_gets_files_nevertheless(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.hides_arrivals = True
    troubled.modes = {"stat_after_upload": False}

    result = await troubled.do("upload", **upload_of(await troubled.keep(b"content")))

    assert troubled.path("file.bin").read_bytes() == b"content"
    assert result.files[0].verified == "acknowledged"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_where_nobody_may_look_a_second_rename_tells_what_became_of_the_first(
    troubled: Attempts, faulty: FaultySftp, after: bool
) -> None:
    faulty.hides_arrivals = True
    faulty.arrived.add(str(troubled.path("file.bin")).encode())
    troubled.modes = {"stat_after_upload": False}
    operation = upload_of(await troubled.keep(b"content"))
    with pytest.raises(CallFailed):
        await troubled.do("upload", cut=Cut("rename", after=after), **operation)

    await troubled.do("upload", attempt=2, **operation)

    assert troubled.names() == ["file.bin"]
    assert troubled.path("file.bin").read_bytes() == b"content"


async def test_a_server_that_takes_files_away_when_they_are_closed_gets_each_once(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    faulty.moves_arrivals_to = "taken"
    troubled.modes = {"rename": False, "moves_on_arrival": True}

    result = await troubled.do("upload", **upload_of(await troubled.keep(b"content")))

    assert troubled.names() == ["taken/file.bin"]
    assert result.sha256 == sha256(b"content")


async def test_one_that_was_taken_when_it_was_closed_is_not_sent_again(troubled: Attempts, faulty: FaultySftp) -> None:
    faulty.moves_arrivals_to = "taken"
    troubled.modes = {"rename": False, "moves_on_arrival": True}
    operation = upload_of(await troubled.keep(b"content"))
    with pytest.raises(CallFailed):
        await troubled.do("upload", cut=Cut("write", after=True), **operation)

    result = await troubled.do("upload", attempt=2, **operation)

    assert faulty.calls["open"] == 1
    assert (result.sha256, result.bytes) == (sha256(b"content"), 7)


async def test_one_of_which_a_part_was_taken_is_for_a_person_to_decide(
    troubled: Attempts, faulty: FaultySftp, content: bytes
) -> None:
    troubled.modes = {"rename": False, "moves_on_arrival": True}
    operation = upload_of(await troubled.keep(content))
    faulty.drop_after = 3_000_000
    await troubled.fails("upload", **operation)
    troubled.path("file.bin").unlink()

    failure = await troubled.fails("upload", attempt=2, **operation)

    assert told(failure) == (Verdict.UNKNOWN, "outcome_unknown")
    assert troubled.names() == []


async def test_a_server_that_changes_what_it_is_sent_is_believed_after_some_attempts(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    """However often the line was lost before."""
    faulty.told_size = 10
    operation = upload_of(await troubled.keep(b"content"))

    failures = [await troubled.fails("upload", attempt=20 + each, **operation) for each in range(PATIENCE)]

    assert [failure.category for failure in failures] == ["content_differs"] * PATIENCE
    assert [failure.verdict for failure in failures] == [Verdict.AGAIN] * (PATIENCE - 1) + [Verdict.FINAL]
    assert "line ends" in failures[-1].suggested_action
    assert troubled.names() == []


async def test_a_server_that_gives_no_reason_is_believed_after_some_times_and_not_for_lines_that_were_lost(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    operation = upload_of(await troubled.keep(b"content"))
    with pytest.raises(CallFailed):
        await troubled.do("upload", attempt=20, cut=Cut("rename"), **operation)
    faulty.refuse["rename"] = asyncssh.SFTPFailure("the file is in use")

    failures = [await troubled.fails("upload", attempt=21 + each, **operation) for each in range(PATIENCE)]

    assert [failure.category for failure in failures] == ["failure"] * PATIENCE
    assert [failure.verdict for failure in failures] == [Verdict.AGAIN] * (PATIENCE - 1) + [Verdict.FINAL]


async def test_a_changed_host_key_is_for_a_person_to_decide_with_both_fingerprints(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    fingerprint = faulty.change_host_key()

    failure = await troubled.fails("exists", path="a")

    assert told(failure) == (Verdict.RECONNECT, "host_key_changed")
    assert failure.host_key is not None
    assert (failure.host_key.presented, len(failure.host_key.expected)) == (fingerprint, 1)
    assert [cause for cause, _ in troubled.dead] == ["host_key_changed"]
    assert faulty.passwords_seen == []


async def test_an_account_without_trusted_keys_makes_no_connection(troubled: Attempts, faulty: FaultySftp) -> None:
    troubled.server = replace(troubled.server, trusted=())

    failure = await troubled.fails("exists", path="a")

    assert failure.verdict is Verdict.FINAL
    assert faulty.connections == 0


async def test_a_password_that_is_refused_is_for_a_person_to_mend(troubled: Attempts) -> None:
    troubled.server = replace(troubled.server, password="wrong-password")

    failure = await troubled.fails("exists", path="a")

    assert told(failure) == (Verdict.RECONNECT, "credential_refused")
    assert [cause for cause, _ in troubled.dead] == ["credential_refused"]
    assert "wrong-password" not in failure.model_dump_json()

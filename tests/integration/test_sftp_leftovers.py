"""What a run has left on a server is taken away when it ends while no attempt is under way."""

from typing import Any

import asyncssh
import pytest

from activities.parking import CallFailed
from activities.sftp import SftpActivities
from definitions.refs import CredentialRef
from definitions.run import SftpCall
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import OPERATION, upload_of

COPY: dict[str, Any] = {"path": "a", "to": "b", "overwrite": "replace"}


async def cut_off(attempts: Attempts, type_: str, cut: Cut, **operation: Any) -> None:
    with pytest.raises(CallFailed):
        await attempts.do(type_, cut=cut, **operation)


async def clean_up(attempts: Attempts, type_: str, *, told: bool = False, **operation: Any) -> None:
    """As the run does at its end. `told`: it knows what its attempts have told."""
    call = SftpCall(
        operation=OPERATION.validate_python({"type": f"sftp.{type_}", **operation}),
        credential=CredentialRef(adapter="bank", profile="production"),
        idempotency_key=attempts.run,
        progress=attempts.told if told else None,
    )
    await SftpActivities(attempts, attempts, attempts, attempts.assets).clean_up(call)


@pytest.mark.parametrize("folder", [None, "unfinished"], ids=["beside", "temporary folder"])
@pytest.mark.parametrize("type_", ["upload", "copy"])
async def test_unfinished_files_are_found_though_nobody_knows_of_their_attempts(
    attempts: Attempts, type_: str, folder: str | None
) -> None:
    attempts.modes = {"temporary_folder": folder} if folder else {}
    attempts.path("a").write_bytes(b"content")
    operation = upload_of(await attempts.keep(b"content"), "out/") if type_ == "upload" else {**COPY, "to": "out/b"}
    await cut_off(attempts, type_, Cut("stat", when=lambda path: path.endswith(".part")), **operation)
    left = len(attempts.names())

    await clean_up(attempts, type_, **operation)

    assert left == 2
    assert attempts.names() == ["a"]


async def test_an_unfinished_checksum_is_taken_away_with_its_file(attempts: Attempts) -> None:
    operation = upload_of(await attempts.keep(b"content"), checksum_file=True)
    await cut_off(attempts, "upload", Cut("rename"), **operation)
    left = len(attempts.names())

    await clean_up(attempts, "upload", **operation)

    assert (left, attempts.names()) == (2, [])


async def test_unfinished_files_of_other_runs_and_of_finished_ones_stay(attempts: Attempts) -> None:
    operation = upload_of(await attempts.keep(b"content"))
    await cut_off(attempts, "upload", Cut("rename"), **operation)
    of_another_run = attempts.names()
    attempts.run, attempts.told = "another", None

    await clean_up(attempts, "upload", **operation)

    assert attempts.names() == of_another_run


async def test_files_in_folders_that_nobody_may_list_are_taken_away_by_the_names_that_were_told(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    operation = upload_of(await troubled.keep(b"content"), checksum_file=True)
    await cut_off(troubled, "upload", Cut("rename"), **operation)
    faulty.refuse["list"] = asyncssh.SFTPPermissionDenied("no")
    left = len(troubled.names())

    await clean_up(troubled, "upload", told=True, **operation)

    assert (left, troubled.names()) == (2, [])


async def test_what_was_told_of_is_taken_away_where_a_listing_takes_too_long(
    troubled: Attempts, faulty: FaultySftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = upload_of(await troubled.keep(b"content"), checksum_file=True)
    await cut_off(troubled, "upload", Cut("rename"), **operation)
    monkeypatch.setattr("activities.sftp.LOOK_WITHIN", 0.3)
    faulty.one_by_one = False
    faulty.stall_in.add("list")

    await clean_up(troubled, "upload", told=True, **operation)

    assert faulty.calls["list"] == 1
    assert troubled.names() == []


async def test_the_checksum_of_a_file_that_has_arrived_as_somebody_decides_stays(attempts: Attempts) -> None:
    operation = upload_of(await attempts.keep(b"content"), checksum_file=True)
    await cut_off(attempts, "upload", Cut("rename", number=2, after=True), **operation)
    attempts.path("file.bin").unlink()
    failure = await attempts.fails("upload", attempt=2, **operation)

    await clean_up(attempts, "upload", told=True, **operation)

    assert failure.category == "outcome_unknown"
    assert attempts.names() == ["file.bin.sha256"]


@pytest.mark.parametrize("told", [False, True], ids=["unknown", "told"])
@pytest.mark.parametrize("type_", ["copy", "move"])
async def test_a_file_that_made_way_gets_its_name_back(
    troubled: Attempts, faulty: FaultySftp, type_: str, told: bool
) -> None:
    faulty.without.add(b"posix-rename@openssh.com")
    troubled.path("a").write_bytes(b"new")
    troubled.path("b").write_bytes(b"the old one")
    await cut_off(troubled, type_, Cut("rename", number=2, after=True), **COPY)
    left = troubled.names()

    await clean_up(troubled, type_, told=told, **COPY)

    assert "b" not in left
    assert troubled.names() == ["a", "b"]
    assert troubled.path("b").read_bytes() == b"the old one"


async def test_a_server_that_hangs_is_not_waited_for(
    troubled: Attempts, faulty: FaultySftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = upload_of(await troubled.keep(b"content"))
    await cut_off(troubled, "upload", Cut("rename"), **operation)
    monkeypatch.setattr("activities.sftp.CLEAN_UP_WITHIN", 0.05)
    faulty.stall_in.add("list")

    await clean_up(troubled, "upload", **operation)

    assert len(troubled.names()) == 1
    assert faulty.calls["list"] == 1


async def test_a_server_that_has_refused_the_account_is_not_asked_again(troubled: Attempts, faulty: FaultySftp) -> None:
    troubled.cause = "auth_refused"

    await clean_up(troubled, "upload", **upload_of(await troubled.keep(b"content")))

    assert faulty.connections == 0

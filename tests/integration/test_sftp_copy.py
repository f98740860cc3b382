"""Copies on a real OpenSSH server: whole when they are seen, whatever an attempt before does or has done."""

import os
from collections.abc import AsyncIterator
from typing import Any

import asyncssh
import pytest

from activities.parking import CallFailed
from definitions.run import Verdict
from net.sftp import SftpSession
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import aged, sha256
from tests.integration.test_sftp_two_attempts import Stop, overtaken

NEW = b"content" * 100_000
COPY: dict[str, Any] = {"path": "a", "to": "b"}


@pytest.fixture(params=["by the server", "through here"])
def copying(request: pytest.FixtureRequest, attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> Attempts:
    """File `a` is there, and the server copies it itself or does not."""
    if request.param == "through here":
        _offers_no_copy(monkeypatch)
    attempts.path("a").write_bytes(NEW)
    return attempts


def _offers_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def offers_none(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(SftpSession, "copy", offers_none)


async def cut_off(attempts: Attempts, cut: Cut, **operation: Any) -> None:
    with pytest.raises(CallFailed):
        await attempts.do("copy", cut=cut, **operation)


@pytest.mark.parametrize("overwrite", ["fail", "replace"])
@pytest.mark.parametrize("point", ["lstat", "copy", "stat", "rename"])
async def test_an_attempt_that_stood_still_and_goes_on_changes_nothing_and_leaves_nothing(
    copying: Attempts, point: str, overwrite: str
) -> None:
    if overwrite == "replace":
        copying.path("b").write_bytes(b"old")

    await overtaken(copying, Stop(point), type_="copy", overwrite=overwrite, **COPY)

    assert copying.names() == ["a", "b"]
    assert copying.path("b").read_bytes() == NEW


async def test_an_attempt_that_wakes_while_another_one_copies_publishes_nothing_of_it(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was about to rename what it had copied; what has its name then was half written by the other one."""
    attempts.path("a").write_bytes(NEW)
    await cut_off(attempts, Cut("rename"), **COPY)
    (stood_still,) = attempts.folder.glob(".b.*.part")
    seen: list[list[str]] = []

    async def wakes(session: SftpSession, source: str, target: str, *, exclusive: bool = False) -> bool:
        await session.write(target, _pieces(NEW[:1000]), exclusive=exclusive)
        seen.append([path.name for path in attempts.folder.iterdir() if path == stood_still])
        await session.write(target, _pieces(NEW))
        return True

    monkeypatch.setattr(SftpSession, "copy", wakes)
    await attempts.do("copy", attempt=2, **COPY)

    assert seen == [[]]
    assert attempts.names() == ["a", "b"]


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_what_attempts_before_left_is_gone_when_a_copy_is_there(copying: Attempts) -> None:
    await cut_off(copying, Cut("stat", when=lambda path: path.endswith(".part")), **COPY)
    await cut_off(copying, Cut("remove"), **COPY)
    assert len(copying.names()) == 2

    await copying.do("copy", attempt=3, **COPY)

    assert copying.names() == ["a", "b"]


async def test_what_attempts_before_left_is_gone_when_the_copy_fails_for_good(copying: Attempts) -> None:
    await cut_off(copying, Cut("stat", when=lambda path: path.endswith(".part")), **COPY)
    copying.path("b").write_bytes(b"somebody else's")

    failure = await copying.fails("copy", attempt=2, **COPY)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert copying.names() == ["a", "b"]


async def test_a_copy_that_is_published_just_when_another_attempt_begins_is_taken_for_done(copying: Attempts) -> None:
    await cut_off(copying, Cut("rename"), **COPY)

    def published(path: str) -> bool:
        for part in copying.folder.glob(".b.*.part"):
            os.rename(part, copying.path("b"))
        return False

    result = await copying.do("copy", attempt=2, cut=Cut("remove", when=published), **COPY)

    assert copying.names() == ["a", "b"]
    assert result.bytes == len(NEW)


async def test_an_old_file_of_the_same_size_is_not_taken_for_the_copy(copying: Attempts) -> None:
    """What was about to be published is gone: nobody knows whether it had the name before."""
    copying.path("b").write_bytes(NEW[::-1])
    aged(copying.folder)
    await cut_off(copying, Cut("rename"), overwrite="replace", **COPY)
    for part in copying.folder.glob(".b.*.part"):
        part.unlink()

    failure = await copying.fails("copy", attempt=2, overwrite="replace", **COPY)

    assert (failure.verdict, failure.category) == (Verdict.UNKNOWN, "outcome_unknown")


@pytest.mark.parametrize("lost", [False, True], ids=["in one go", "with a lost answer"])
async def test_what_goes_through_here_is_told_with_its_hash(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    _offers_no_copy(monkeypatch)
    attempts.path("a").write_bytes(NEW)
    if lost:
        await cut_off(attempts, Cut("rename", after=True), **COPY)

    result = await attempts.do("copy", attempt=2, **COPY)

    assert (result.sha256, result.files[0].verified) == (sha256(NEW), "acknowledged")


async def test_a_server_that_takes_files_away_when_they_are_closed_gets_a_copy_once(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    _takes(troubled, faulty)

    result = await troubled.do("copy", **COPY)

    assert troubled.names() == ["a", "taken/b"]
    assert result.bytes == len(NEW)


@pytest.mark.parametrize("cut", [Cut("copy"), Cut("copy", after=True)], ids=["before", "after"])
async def test_a_copy_that_may_have_been_taken_is_for_a_person_to_decide(
    troubled: Attempts, faulty: FaultySftp, cut: Cut
) -> None:
    _takes(troubled, faulty)
    await cut_off(troubled, cut, **COPY)

    failure = await troubled.fails("copy", attempt=2, **COPY)
    again = await troubled.do("copy", attempt=3, **COPY)

    assert (failure.verdict, failure.category) == (Verdict.UNKNOWN, "outcome_unknown")
    assert again.bytes == len(NEW)


def _takes(attempts: Attempts, faulty: FaultySftp) -> None:
    """The server does, and renames nothing; file `a` is there."""
    attempts.path("a").write_bytes(NEW)
    faulty.moves_arrivals_to = "taken"
    attempts.modes = {"rename": False, "moves_on_arrival": True}


async def test_a_copy_that_failed_for_good_is_made_anew_when_somebody_lets_it_be_tried_again(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    """An old file of the same size has the name: it is not the copy."""
    troubled.path("a").write_bytes(b"new!")
    troubled.path("b").write_bytes(b"old!")
    operation = {**COPY, "overwrite": "replace", "on_failure": "park"}
    faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("Permission denied")
    failure = await troubled.fails("copy", **operation)
    faulty.refuse.clear()

    await troubled.do("copy", **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "permission_denied")
    assert troubled.path("b").read_bytes() == b"new!"
    assert troubled.names() == ["a", "b"]

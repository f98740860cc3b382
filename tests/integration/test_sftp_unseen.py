"""Uploads to servers that tell nobody of what has arrived: only what they acknowledge and refuse says how it stands."""

import hashlib

import pytest

from activities.parking import CallFailed
from activities.sftp_places import temporary_name
from definitions.run import Verdict
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import sha256, upload_of


@pytest.fixture(scope="module")
def content() -> bytes:
    """Two megabytes in which no part is like another."""
    return b"".join(hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(65_000))


@pytest.fixture(autouse=True)
def tells_nothing(troubled: Attempts, faulty: FaultySftp) -> None:
    faulty.hides_arrivals = True
    faulty.arrived.add(str(troubled.path("file.bin")).encode())
    troubled.modes = {"stat_after_upload": False}


@pytest.mark.parametrize("overwrite", ["replace", "fail"])
async def test_a_half_file_of_an_earlier_attempt_is_not_taken_for_the_one_that_was_about_to_be_published(
    troubled: Attempts, faulty: FaultySftp, content: bytes, overwrite: str
) -> None:
    operation = upload_of(await troubled.keep(content), overwrite=overwrite)
    faulty.drop_after = 1_000_000
    await troubled.fails("upload", **operation)
    with pytest.raises(CallFailed):
        await troubled.do("upload", attempt=2, cut=Cut("rename", after=True), **operation)

    result = await troubled.do("upload", attempt=3, **operation)

    assert troubled.path("file.bin").read_bytes() == content
    assert troubled.names() == ["file.bin"]
    assert result.sha256 == sha256(content)


async def test_what_many_attempts_have_left_is_gone_in_the_end(troubled: Attempts) -> None:
    begun = [f"{attempt:08x}" for attempt in range(12)]
    troubled.told = {"begun": begun}
    for attempt in begun:
        troubled.path(temporary_name("file.bin", f"{troubled.run}/0", attempt)).write_bytes(b"half")

    operation = upload_of(await troubled.keep(b"content"))
    with pytest.raises(CallFailed):
        await troubled.do("upload", attempt=13, cut=Cut("rename"), **operation)

    await troubled.do("upload", attempt=14, **operation)

    assert troubled.names() == ["file.bin"]
    assert troubled.path("file.bin").read_bytes() == b"content"


async def test_what_was_removed_when_the_name_was_taken_is_sent_anew_after_a_decision(troubled: Attempts) -> None:
    operation = upload_of(await troubled.keep(b"content"), on_failure="park")
    with pytest.raises(CallFailed):
        await troubled.do("upload", cut=Cut("rename"), **operation)
    troubled.path("file.bin").write_bytes(b"theirs")
    failure = await troubled.fails("upload", attempt=2, **operation)
    troubled.path("file.bin").unlink()

    await troubled.do("upload", **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert troubled.names() == ["file.bin"]
    assert troubled.path("file.bin").read_bytes() == b"content"

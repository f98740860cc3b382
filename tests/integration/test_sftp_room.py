"""Downloads and the room that there is for them: looked for before the first byte, whatever a server says of sizes."""

import pytest

from definitions.run import Actor, Verdict
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts
from tests.fixtures.sftp_runs import aged

TEBIBYTE = 1024**4


async def test_a_file_for_which_there_is_no_room_is_not_begun(
    troubled: Attempts, faulty: FaultySftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.assets.draft.RESERVE_BYTES", 2**60)
    troubled.path("a").write_bytes(b"x" * 1000)
    aged(troubled.folder)
    faulty.told_size = TEBIBYTE

    failure = await troubled.fails("download", paths=["a"], max_bytes=TEBIBYTE, after="delete")

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "asset_store_full")
    assert failure.actor is Actor.OPERATOR
    assert f"{TEBIBYTE} bytes do not fit" in failure.message
    assert (faulty.calls["open"], troubled.names()) == (0, ["a"])


async def test_only_what_is_left_of_a_file_needs_room(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.assets.draft._free", lambda _: 64 * 1024**2 + 3_000_000)
    attempts.path("a").write_bytes(b"x" * 3_000_000)
    attempts.path("b").write_bytes(b"x" * 3_000_001)
    aged(attempts.folder)

    failure = await attempts.fails("download", paths=["b"])
    result = await attempts.do("download", paths=["a"])

    assert failure.category == "asset_store_full"
    assert result.bytes == 3_000_000

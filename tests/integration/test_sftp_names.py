"""Moves, deletions and copies where a name may stand for another file than it did: nothing is lost by them."""

import pytest

from definitions.run import Verdict
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts

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


@pytest.mark.parametrize("attempt", [1, 5])
async def test_a_file_whose_new_name_is_itself_in_other_capitals_is_never_removed_to_make_place(
    troubled: Attempts, faulty: FaultySftp, attempt: int
) -> None:
    faulty.without, faulty.folds_case = {POSIX_RENAME}, True
    troubled.path("report").write_bytes(b"precious")

    failure = await troubled.fails("move", attempt=attempt, path="report", to="REPORT", overwrite="replace")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert troubled.path("report").read_bytes() == b"precious"
    assert faulty.calls["remove"] == 0

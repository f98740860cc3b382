"""Where a transfer goes on, and what is made of the names on the server: decisions without a server."""

import pytest

from activities.progress import FileProgress, Phase, Piece
from activities.sftp_resume import UNDER_WAY, Step, next_step, resume_offset
from definitions.sftp import Overwrite

MIB = 1024 * 1024
WRITING = FileProgress(phase=Phase.WRITING, offset=10 * MIB, size=100 * MIB)
TOLD = WRITING.model_copy(update={"pieces": (Piece(end=10 * MIB, sha256="0" * 64),)})
PUBLISHING = FileProgress(phase=Phase.PUBLISHING, offset=100, size=100)


@pytest.mark.parametrize(
    ("there", "before", "read_back", "expected"),
    [
        (None, None, True, 0),
        (0, WRITING, True, 0),
        (50 * MIB, WRITING, False, 10 * MIB),
        (50 * MIB, None, False, 0),
        (50 * MIB, None, True, 50 * MIB - UNDER_WAY),
        (50 * MIB, WRITING, True, 50 * MIB - UNDER_WAY),
        (12 * MIB, WRITING, True, 10 * MIB),
        (5 * MIB, WRITING, True, 5 * MIB),
        (5 * MIB, WRITING, False, 5 * MIB),
        (MIB, None, True, 0),
        (200 * MIB, None, True, 100 * MIB),
    ],
)
def test_it_goes_on_where_nothing_before_can_be_missing(
    there: int | None, before: FileProgress | None, read_back: bool, expected: int
) -> None:
    assert resume_offset(there, before, size=100 * MIB, read_back=read_back, hash_known=True) == expected


@pytest.mark.parametrize(
    ("there", "before", "read_back", "expected"),
    [
        (50 * MIB, None, True, 0),
        (50 * MIB, WRITING, True, 0),
        (50 * MIB, TOLD, True, 10 * MIB),
        (10 * MIB, TOLD, True, 10 * MIB),
        (9 * MIB, TOLD, True, 0),
        (50 * MIB, TOLD.model_copy(update={"offset": 11 * MIB}), True, 0),
        (50 * MIB, WRITING, False, 10 * MIB),
    ],
)
def test_a_source_without_a_hash_goes_on_only_where_it_is_known_what_was_sent_before(
    there: int, before: FileProgress | None, read_back: bool, expected: int
) -> None:
    assert resume_offset(there, before, size=100 * MIB, read_back=read_back, hash_known=False) == expected


def step(
    before: FileProgress | None,
    *,
    part: bool = False,
    final: int | None = None,
    overwrite: Overwrite = Overwrite.FAIL,
    moves: bool = False,
) -> Step:
    return next_step(before, part=part, final=final, size=100, overwrite=overwrite, moves_on_arrival=moves)


def test_a_new_file_is_written() -> None:
    assert step(None) is Step.WRITE


def test_an_unfinished_file_that_was_about_to_be_published_is_gone_on_with() -> None:
    assert step(PUBLISHING, part=True) is Step.WRITE


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_one_that_may_have_its_name_is_compared_whatever_may_be_replaced(overwrite: Overwrite) -> None:
    assert step(PUBLISHING, final=100, overwrite=overwrite) is Step.COMPARE_AS_OURS


@pytest.mark.parametrize(
    ("overwrite", "expected"),
    [
        (Overwrite.FAIL, Step.REFUSE),
        (Overwrite.REPLACE, Step.WRITE),
        (Overwrite.SKIP_IF_SAME, Step.COMPARE_TO_SKIP),
    ],
)
def test_a_file_that_nobody_here_has_published_is_treated_as_the_operation_says(
    overwrite: Overwrite, expected: Step
) -> None:
    assert step(None, final=100, overwrite=overwrite) is expected
    assert step(WRITING, final=100, overwrite=overwrite) is expected


def test_a_file_of_another_size_is_never_the_same() -> None:
    assert step(PUBLISHING, final=99, overwrite=Overwrite.FAIL) is Step.REFUSE
    assert step(None, final=99, overwrite=Overwrite.SKIP_IF_SAME) is Step.WRITE


@pytest.mark.parametrize("overwrite", [Overwrite.REPLACE, Overwrite.SKIP_IF_SAME])
def test_something_else_where_ours_may_have_been_is_a_question_whatever_may_be_replaced(overwrite: Overwrite) -> None:
    assert step(PUBLISHING, final=99, overwrite=overwrite) is Step.ASK
    assert step(PUBLISHING, final=99, part=True, overwrite=overwrite) is not Step.ASK


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_two_files_of_its_size_are_compared(overwrite: Overwrite) -> None:
    assert step(PUBLISHING, part=True, final=100, overwrite=overwrite) is Step.COMPARE_BOTH


def test_two_names_that_are_gone_are_a_question_unless_the_server_takes_files_away() -> None:
    assert step(PUBLISHING) is Step.ASK
    assert step(PUBLISHING, moves=True) is Step.DONE

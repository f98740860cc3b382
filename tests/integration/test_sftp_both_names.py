"""Servers that rename by a second link, and end before the first is removed: what is moved has both names then."""

import os
from typing import Any

import pytest

from activities.parking import CallFailed
from definitions.run import Verdict
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import aged

MOVES: list[tuple[str, dict[str, Any]]] = [
    ("move", {"path": "a", "to": "done/a"}),
    ("move", {"path": "a", "to": "done/a", "overwrite": "replace"}),
    ("download", {"paths": ["a"], "after": "move", "move_to": "done/"}),
]
every_move = pytest.mark.parametrize(("type_", "operation"), MOVES, ids=["move", "replace", "download"])


@pytest.fixture
def moving(attempts: Attempts) -> Attempts:
    """File `a` is there."""
    attempts.path("a").write_bytes(b"content")
    attempts.path("done").mkdir()
    aged(attempts.path("a"))
    return attempts


async def cut_off(attempts: Attempts, type_: str, operation: dict[str, Any], cut: Cut, attempt: int = 1) -> None:
    with pytest.raises(CallFailed):
        await attempts.do(type_, attempt=attempt, cut=cut, **operation)


@every_move
async def test_the_next_attempt_removes_the_old_name(moving: Attempts, type_: str, operation: dict[str, Any]) -> None:
    await cut_off(moving, type_, operation, Cut("rename"))
    os.link(moving.path("a"), moving.path("done/a"))

    await moving.do(type_, attempt=2, **operation)

    assert moving.names() == ["done/a"]
    assert moving.path("done/a").read_bytes() == b"content"


@every_move
@pytest.mark.parametrize("method", ["rename", "remove"])
async def test_a_line_that_is_lost_meanwhile_loses_no_file(
    moving: Attempts, type_: str, operation: dict[str, Any], method: str
) -> None:
    await cut_off(moving, type_, operation, Cut("rename"))
    os.link(moving.path("a"), moving.path("done/a"))
    await cut_off(moving, type_, operation, Cut(method, after=method == "rename"), attempt=2)

    await moving.do(type_, attempt=3, **operation)

    assert moving.names() == ["done/a"]
    assert moving.path("done/a").read_bytes() == b"content"


@pytest.mark.parametrize(("type_", "operation"), [MOVES[0], MOVES[2]], ids=["move", "download"])
async def test_where_both_names_are_one_the_file_has_the_new_one(
    moving: Attempts, type_: str, operation: dict[str, Any]
) -> None:
    """As where capitals are not told apart: what takes the one away takes the other."""
    await cut_off(moving, type_, operation, Cut("rename"))
    os.link(moving.path("a"), moving.path("done/a"))

    def both_go(source: str, target: str) -> bool:
        if target.endswith(".old"):
            moving.path("done/a").unlink()
        return False

    await moving.do(type_, attempt=2, cut=Cut("rename", when=both_go), **operation)

    assert moving.names() == ["done/a"]


@pytest.mark.parametrize(("type_", "operation"), [MOVES[0], MOVES[2]], ids=["move", "download"])
async def test_another_file_of_the_same_size_and_time_is_not_taken_for_it(
    moving: Attempts, type_: str, operation: dict[str, Any]
) -> None:
    await cut_off(moving, type_, operation, Cut("rename"))
    moving.path("done/a").write_bytes(b"CONTENT")
    aged(moving.path("done/a"))

    failure = await moving.fails(type_, attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert (moving.path("a").read_bytes(), moving.path("done/a").read_bytes()) == (b"content", b"CONTENT")

"""What to do about something that is in the way: the next step is one that the operation knows."""

from typing import Any

import pytest

from tests.fixtures.sftp_attempts import Attempts
from tests.fixtures.sftp_runs import aged, upload_of

MOVED_ELSEWHERE = "take that away, or move the sources elsewhere (move_to)"
INTO = "end it with a slash to write into it: folder/"


@pytest.mark.parametrize(
    ("type_", "operation", "step"),
    [
        ("mkdir", {"path": "taken"}, "choose another name"),
        ("move", {"path": "own", "to": "taken"}, "choose another name, or say overwrite: replace"),
        ("move", {"path": "own", "to": "folder"}, INTO),
        ("copy", {"path": "own", "to": "taken"}, "choose another name, or say overwrite: replace or skip_if_same"),
        ("copy", {"path": "own", "to": "folder"}, INTO),
        ("download", {"paths": ["own"], "after": "move", "move_to": "taken"}, MOVED_ELSEWHERE),
    ],
)
async def test_what_is_in_the_way_is_told_with_a_way_around_it(
    attempts: Attempts, type_: str, operation: dict[str, Any], step: str
) -> None:
    for name in ("own", "taken"):
        attempts.path(name).write_bytes(name.encode())
        aged(attempts.path(name))
    attempts.path("folder").mkdir()

    failure = await attempts.fails(type_, **operation)

    assert (failure.category, failure.suggested_action) == ("already_exists", step)


async def test_an_upload_to_a_folder_is_told_how_to_write_into_it(attempts: Attempts) -> None:
    attempts.path("folder").mkdir()

    failure = await attempts.fails("upload", **upload_of(await attempts.keep(b"x"), "folder"))

    assert (failure.category, failure.suggested_action) == ("already_exists", INTO)

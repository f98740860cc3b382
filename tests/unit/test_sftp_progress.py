"""What an attempt tells Temporal, and what the next one reads of it."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.progress import (
    MAX_BEGUN,
    Fetched,
    FileProgress,
    Phase,
    Progress,
    Seen,
    format_ranges,
    parse_ranges,
    read_progress,
)
from activities.sftp_beats import Beats
from definitions.asset import Asset
from definitions.sftp import Transferred


@given(st.sets(st.integers(0, 1000)))
def test_ranges_read_as_they_were_written(indexes: set[int]) -> None:
    assert parse_ranges(format_ranges(indexes)) == indexes


def test_five_hundred_files_that_are_done_take_a_few_bytes() -> None:
    assert format_ranges([*range(300), *range(301, 500)]) == "0-299,301-499"


def test_all_of_it_comes_back_from_json() -> None:
    progress = Progress()
    progress.end(0, None)
    progress.end(1, Transferred(path="a", bytes=1, skipped=True))
    progress.begin("0123abcd")
    progress.files[2] = FileProgress(phase=Phase.WRITING, offset=7, size=9, validator='"etag"')
    progress.fetched["b"] = Fetched(path="b", asset=Asset(sha256="0" * 64, size=1), source=Seen(kind="file", size=1))
    progress.source = Seen(kind="folder", modified=1.5)
    told = json.loads(progress.told().model_dump_json(exclude_defaults=True))

    again = read_progress([told])

    assert again.told() == progress.told()
    assert again.done == {0, 1}


@pytest.mark.parametrize("details", [[], [None], ["text"], [{"done": "x"}], [{"files": {"a": {}}}], [{"strange": 1}]])
def test_what_cannot_be_read_is_as_if_nothing_was_told(details: list[Any]) -> None:
    assert read_progress(details).told() == Progress().told()


async def test_files_that_ask_at_once_are_recorded_together() -> None:
    sent: list[dict[str, Any]] = []

    async def record(details: dict[str, Any]) -> None:
        sent.append(details)
        await asyncio.sleep(0)

    beats = Beats(Progress(), record)

    async def one(index: int) -> None:
        beats.progress.end(index, None)
        await beats.record()
        assert index in parse_ranges(sent[-1]["done"])

    await asyncio.gather(*(one(index) for index in range(50)))

    assert len(sent) <= 2


def test_files_of_attempts_that_were_not_told_apart_yet_are_found_under_their_common_name() -> None:
    progress = read_progress([{"files": {"0": {"phase": "writing", "offset": 7}}}])

    progress.begin("0123abcd")

    assert progress.begun == ("", "0123abcd")


def test_only_so_many_attempts_are_remembered_and_the_newest_are() -> None:
    progress = Progress()

    for index in range(MAX_BEGUN + 3):
        progress.begin(f"{index}")

    assert progress.begun == tuple(f"{index}" for index in range(3, MAX_BEGUN + 3))

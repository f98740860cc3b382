"""What an attempt tells Temporal, and what the next one reads of it."""

import asyncio
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.progress import (
    MAX_BEGUN,
    Fetched,
    FileProgress,
    Moved,
    Phase,
    Progress,
    Seen,
    format_ranges,
    moved,
    parse_ranges,
    read_progress,
)
from activities.sftp_beats import Beats
from definitions.asset import Asset
from definitions.sftp import MAX_FILES, Transferred
from runtime.payload_store import THRESHOLD_BYTES


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
    progress.fetched["c"] = Fetched(
        path="c", asset=Asset(sha256="1" * 64, size=2), source=Seen(kind="file", size=2), ended=True
    )
    progress.source = Seen(kind="folder", modified=1.5)
    told = json.loads(progress.told().model_dump_json(exclude_defaults=True))

    again = read_progress([told])

    assert again.told() == progress.told()
    assert again.done == {0, 1}
    assert again.results == progress.results
    assert again.fetched["b"] == progress.fetched["b"]
    assert (again.fetched["c"].asset, again.fetched["c"].ended) == (progress.fetched["c"].asset, True)


def large(kind: str) -> Progress:
    """As many files as an operation may have, with names and hashes that are not alike; told of now and then."""
    progress = Progress()
    for index in range(MAX_FILES):
        sha256 = hashlib.sha256(b"%d" % index).hexdigest()
        path = f"in/{sha256[:8]}-some-rather-usual-name-of-an-export-{index:05}.csv"
        if kind == "uploads":
            progress.end(index, Transferred(path=path, bytes=index * 7919, sha256=sha256, verified="read_back"))
        else:
            asset = Asset(sha256=sha256, size=index * 7919, name=path[3:], media_type="text/csv")
            source = Seen(kind="file", size=asset.size, modified=1764000000.0 + index)
            progress.fetched[path] = Fetched(path=path, asset=asset, source=source, ended=True)
        if index % 30 == 0:
            progress.told()
    return progress


@pytest.mark.parametrize("kind", ["uploads", "downloads"])
def test_what_a_thousand_files_tell_is_far_from_being_kept_beside_the_history(kind: str) -> None:
    progress = large(kind)

    told = json.dumps(progress.told().model_dump(mode="json", exclude_defaults=True))

    assert len(told) < 0.6 * THRESHOLD_BYTES
    again = read_progress([json.loads(told)])
    assert again.results == progress.results
    assert {path: each.asset for path, each in again.fetched.items()} == {
        path: each.asset for path, each in progress.fetched.items()
    }


def test_files_that_were_fetched_count_as_moved() -> None:
    assert moved(large("downloads").told(), None) == Moved(done=MAX_FILES, total=None, unit="files")


@pytest.mark.parametrize(
    "details",
    [
        [],
        [None],
        ["text"],
        [{"done": "x"}],
        [{"files": {"a": {}}}],
        [{"strange": 1}],
        [{"settled": ["é"]}],
        [{"settled": ["VQk"]}],
    ],
)
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

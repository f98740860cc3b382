"""Files that were changed just now, by a server whose times are whole seconds: no mixture of contents is fetched."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from definitions.run import Verdict
from storage.assets import AssetStore
from storage.assets.draft import Draft
from tests.fixtures.sftp_attempts import Attempts

SIZE = 3_000_000


class _Meanwhile:
    """A store at whose second piece somebody writes over the source."""

    def __init__(self, inner: AssetStore, attempts: Attempts) -> None:
        self._inner = inner
        self._attempts = attempts

    @asynccontextmanager
    async def draft(self, key: str | None = None, run: str | None = None) -> AsyncIterator[Draft]:
        async with self._inner.draft(key, run) as draft:
            append, pieces = draft.append, 0

            async def appended(data: bytes) -> None:
                nonlocal pieces
                await append(data)
                pieces += 1
                if pieces == 2:
                    self._attempts.path("a").write_bytes(b"\x01" * SIZE)

            draft.append = appended  # type: ignore[method-assign]
            yield draft


@pytest.mark.parametrize("after", ["keep", "delete"])
async def test_a_file_that_is_written_again_within_a_second_is_not_fetched_half_old_and_half_new(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    monkeypatch.setattr("activities.sftp_download.SETTLED_AFTER", 1.1)
    attempts.assets = _Meanwhile(attempts.assets, attempts)  # type: ignore[assignment]
    attempts.path("a").write_bytes(bytes(SIZE))

    failure = await attempts.fails("download", paths=["a"], after=after)

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "source_changed")
    assert attempts.path("a").read_bytes() == b"\x01" * SIZE


async def test_a_file_that_changes_while_it_is_waited_for_is_left_for_the_next_attempt(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def grows(_: float) -> None:
        attempts.path("a").write_bytes(b"more")

    monkeypatch.setattr("activities.sftp_download.sleep", grows)
    attempts.path("a").write_bytes(b"a")

    failure = await attempts.fails("download", paths=["a"], after="delete")

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "source_changed")
    assert "is being changed" in failure.message


@pytest.mark.parametrize(
    ("age", "after", "waited"),
    [(1, "keep", True), (5, "keep", False), (-300, "keep", True), (30, "delete", True), (100, "delete", False)],
)
async def test_files_that_changed_just_now_are_waited_for_and_longer_ago_if_they_are_to_be_deleted(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch, age: float, after: str, waited: bool
) -> None:
    waits: list[Any] = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("activities.sftp_download.sleep", noted)
    attempts.path("a").write_bytes(b"a")
    os.utime(attempts.path("a"), (time.time() - age,) * 2)

    await attempts.do("download", paths=["a"], after=after)

    assert waits == [2.0] * waited

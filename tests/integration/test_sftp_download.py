"""Downloads from a real OpenSSH server: whole or not at all, and the source stays until the asset is safe."""

import hashlib
import os
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from activities.parking import CallFailed
from definitions.run import Verdict
from net.sftp import SftpSession
from net.sftp_server import RemoteFile
from storage.assets import AssetStore, Fate
from storage.errors import AssetStoreUnavailable
from tests.fixtures.assets import drafts
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import sha256


@pytest.fixture(scope="module")
def content() -> bytes:
    """3 MB in which no part is like another."""
    return b"".join(hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(94_000))


def put(attempts: Attempts, name: str, content: bytes, age: float = 100) -> Path:
    """A file on the server that was changed `age` seconds ago."""
    path = attempts.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


async def cut_off(attempts: Attempts, cut: Cut, **operation: Any) -> None:
    with pytest.raises(CallFailed) as raised:
        await attempts.do("download", cut=cut, **operation)
    assert raised.value.failure.verdict is Verdict.AGAIN


async def test_a_file_becomes_an_asset_with_its_name_and_the_media_type_of_that(
    attempts: Attempts, content: bytes
) -> None:
    put(attempts, "in/report.csv", content)

    result = await attempts.do("download", paths=["in/report.csv"])

    asset = result.files[0].asset
    assert asset is not None
    assert (asset.name, asset.media_type, asset.sha256) == ("report.csv", "text/csv", sha256(content))
    assert await attempts.content(asset) == content
    assert attempts.names() == ["in/report.csv"]


async def test_many_files_are_looked_at_together_and_fetched_in_their_order(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"in/{number:02}.csv" for number in range(20)]
    for name in names:
        put(attempts, name, name.encode())
    looking = _counted(monkeypatch)

    result = await attempts.do("download", paths=names)

    assert [each.path for each in result.files] == names
    assert max(looking) > 10


async def test_an_attempt_goes_on_where_the_one_before_stopped(attempts: Attempts, content: bytes) -> None:
    put(attempts, "big.bin", content, age=60)
    attempts.assets = _full_after(attempts.assets, 2_000_000)
    failure = await attempts.fails("download", paths=["big.bin"])
    attempts.assets = attempts.assets.inner  # type: ignore[attr-defined]

    result = await attempts.do("download", attempt=2, paths=["big.bin"])

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "asset_store_unavailable")
    assert 1_000_000 < result.resumed_from <= 2_000_000
    assert result.files[0].asset is not None
    assert await attempts.content(result.files[0].asset) == content


async def test_a_source_that_changed_meanwhile_is_fetched_anew(attempts: Attempts, content: bytes) -> None:
    put(attempts, "big.bin", content, age=60)
    attempts.assets = _full_after(attempts.assets, 2_000_000)
    await attempts.fails("download", paths=["big.bin"])
    attempts.assets = attempts.assets.inner  # type: ignore[attr-defined]
    put(attempts, "big.bin", content[::-1], age=30)

    result = await attempts.do("download", attempt=2, paths=["big.bin"])

    assert (result.resumed_from, result.sha256) == (0, sha256(content[::-1]))


async def test_a_source_that_changes_while_it_is_fetched_is_fetched_again(attempts: Attempts, content: bytes) -> None:
    path = put(attempts, "big.bin", content, age=60)

    def changes(*_: Any) -> bool:
        path.write_bytes(content + b"more")
        return False

    failure = await attempts.fails(
        "download", paths=["big.bin"], cut=Cut("stat", when=lambda p: changes() if p.endswith("big.bin") else False)
    )

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "source_changed")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_the_source_is_deleted_leaves_the_asset_and_no_source(
    attempts: Attempts, after: bool
) -> None:
    put(attempts, "a.txt", b"once")
    operation: dict[str, Any] = {"paths": ["a.txt"], "after": "delete"}
    await cut_off(attempts, Cut("remove", after=after), **operation)

    result = await attempts.do("download", attempt=2, **operation)

    assert attempts.names() == []
    assert result.files[0].asset is not None
    assert await attempts.content(result.files[0].asset) == b"once"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_line_lost_while_the_source_is_moved_leaves_it_at_its_new_place(
    attempts: Attempts, after: bool
) -> None:
    put(attempts, "a.txt", b"once")
    operation: dict[str, Any] = {"paths": ["a.txt"], "after": "move", "move_to": "done/"}
    await cut_off(attempts, Cut("rename", after=after), **operation)

    result = await attempts.do("download", attempt=2, **operation)

    assert attempts.names() == ["done/a.txt"]
    assert result.sha256 == sha256(b"once")


async def test_a_new_file_under_the_name_of_a_fetched_one_is_left_alone(attempts: Attempts) -> None:
    put(attempts, "a.txt", b"once", age=60)
    operation: dict[str, Any] = {"paths": ["a.txt"], "after": "delete"}
    await cut_off(attempts, Cut("remove"), **operation)
    put(attempts, "a.txt", b"twice", age=30)

    result = await attempts.do("download", attempt=2, **operation)

    assert attempts.path("a.txt").read_bytes() == b"twice"
    assert result.sha256 == sha256(b"once")
    assert "another file has its name now" in result.notes[0]


async def test_the_source_is_not_deleted_before_temporal_holds_what_was_fetched(attempts: Attempts) -> None:
    put(attempts, "a.txt", b"once")

    await cut_off(attempts, Cut("remove"), paths=["a.txt"], after="delete")

    assert attempts.progress.fetched["a.txt"].asset.sha256 == sha256(b"once")


async def test_a_pattern_brings_files_that_are_old_enough_in_order_and_no_hidden_ones(attempts: Attempts) -> None:
    for name, age in [("b.csv", 100), ("a.csv", 100), ("new.csv", 0), (".hidden.csv", 100), ("c.txt", 100)]:
        put(attempts, f"in/{name}", name.encode(), age)
    attempts.path("in/folder.csv").mkdir()

    result = await attempts.do("download", paths=["in/*.csv"], glob=True, min_age=60)

    assert result.paths == ("in/a.csv", "in/b.csv")


async def test_a_pattern_that_fits_nothing_brings_nothing(attempts: Attempts) -> None:
    result = await attempts.do("download", paths=["*.csv"], glob=True)

    assert (result.success, result.files) == (True, ())


async def test_what_was_fetched_and_deleted_by_an_earlier_attempt_is_told_of_too(attempts: Attempts) -> None:
    for index in range(6):
        put(attempts, f"{index}.csv", b"x" * index)
    operation: dict[str, Any] = {"paths": ["*.csv"], "glob": True, "after": "delete"}
    await cut_off(attempts, Cut("remove", number=4, after=True), **operation)

    result = await attempts.do("download", attempt=2, **operation)

    assert attempts.names() == []
    assert result.paths == tuple(f"{index}.csv" for index in range(6))


@pytest.mark.parametrize(
    ("operation", "category"),
    [
        ({"paths": ["a.txt"], "sha256": "0" * 64}, "checksum_mismatch"),
        ({"paths": ["a.txt"], "max_bytes": 3}, "too_large"),
        ({"paths": ["missing.txt"]}, "not_found"),
        ({"paths": ["folder"]}, "not_a_file"),
    ],
)
async def test_what_cannot_be_fetched_is_refused_for_good_and_its_source_stays(
    attempts: Attempts, operation: dict[str, Any], category: str
) -> None:
    put(attempts, "a.txt", b"content")
    attempts.path("folder").mkdir()

    failure = await attempts.fails("download", after="delete", **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, category)
    assert attempts.names() == ["a.txt"]


async def test_what_could_not_be_moved_afterwards_is_not_fetched(attempts: Attempts) -> None:
    put(attempts, "a.txt", b"content")
    attempts.path("out").symlink_to("/tmp")

    failure = await attempts.fails("download", paths=["a.txt"], after="move", move_to="out/")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
    assert attempts.progress.fetched == {}


async def test_a_link_out_of_the_root_is_not_fetched(attempts: Attempts) -> None:
    attempts.path("passwd").symlink_to("/etc/passwd")

    failure = await attempts.fails("download", paths=["passwd"])

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")


async def test_a_name_with_a_line_break_is_left_alone_and_told(attempts: Attempts) -> None:
    put(attempts, "a\nb.csv", b"hostile")
    put(attempts, "c.csv", b"fine")

    result = await attempts.do("download", paths=["*.csv"], glob=True, after="delete")

    assert result.paths == ("c.csv",)
    assert attempts.names() == ["a\nb.csv"]
    assert "left alone" in result.notes[0]
    assert "\n" not in result.notes[0]


async def test_what_a_run_had_fetched_when_it_ended_is_collected(attempts: Attempts, asset_folder: Path) -> None:
    put(attempts, "big.bin", os.urandom(1_000_000))
    attempts.run = f"run-{uuid.uuid4().hex}"
    await cut_off(attempts, Cut("stat", when=lambda path: path.endswith("big.bin")), paths=["big.bin"])
    assert [path.stat().st_size for path in drafts(asset_folder)] == [1_000_000]

    async def ended(runs: Collection[str]) -> Mapping[str, Fate]:
        return dict.fromkeys(runs, Fate.ENDED)

    found = await attempts.assets.collect(ended, delete=True)

    assert [(each.kind, each.size) for each in found.garbage] == [("draft", 1_000_000)]
    assert drafts(asset_folder) == []


class _Full:
    """A disk that is full after so many bytes; all else is the store's."""

    def __init__(self, inner: AssetStore, room: int) -> None:
        self.inner = inner
        self.room = room

    def draft(self, key: str | None = None, run: str | None = None) -> Any:
        return _FullDraft(self.inner.draft(key, run), self.room)


class _FullDraft:
    def __init__(self, manager: Any, room: int) -> None:
        self._manager = manager
        self._room = room

    async def __aenter__(self) -> Any:
        draft = await self._manager.__aenter__()
        append = draft.append

        async def refusing(data: bytes) -> None:
            if draft.size + len(data) > self._room:
                raise AssetStoreUnavailable("no space left on this machine")
            await append(data)

        draft.append = refusing
        return draft

    async def __aexit__(self, *error: Any) -> Any:
        return await self._manager.__aexit__(*error)


def _full_after(store: AssetStore, room: int) -> Any:
    return _Full(store, room)


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many looks at files were under way whenever one began."""
    under_way, lstat = [0], SftpSession.lstat

    async def counted(session: SftpSession, path: str) -> RemoteFile | None:
        under_way.append(under_way[-1] + 1)
        try:
            return await lstat(session, path)
        finally:
            under_way.append(under_way[-1] - 1)

    monkeypatch.setattr(SftpSession, "lstat", counted)
    return under_way

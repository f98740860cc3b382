"""Files being written: found again after any crash, written by one at a time, whole or not at all."""

import asyncio
import hashlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from storage.assets import AssetStore, draft
from storage.assets.garbage import Fate
from storage.assets.threads import in_thread
from storage.errors import AssetMissing, AssetStoreUnavailable
from tests.fixtures.assets import CONTENT, blobs, drafts, whole

ROOT = Path(__file__).parents[2]
NAMED = {"name": "orders.csv", "media_type": "text/csv", "holder": "run-1"}

WRITING = """
import asyncio, os, signal, sys
from pathlib import Path
from storage.assets import AssetStore, store
from storage.database import Database

url, folder, dies = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def write():
    async with AssetStore(Database(url), Path(folder)).draft("run-1/step-1") as draft:
        await draft.append(bytes(range(256)) * 1000)
        if dies == "appended":
            die()
        if dies == "held":
            print("held", flush=True)
            await asyncio.sleep(60)
        await draft.append(bytes(range(256)) * 1048)
        if dies == "announced":
            store.LocalBlobs.place = die
        if dies == "placed":
            store.rows.confirm = die
        await draft.commit(name="orders.csv", media_type="text/csv", holder="run-1")

asyncio.run(write())
"""
"""Writes `CONTENT`, and is killed at the named point."""


async def writing(url: str, folder: Path, dies: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITING, url, str(folder), dies, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def killed(url: str, folder: Path, dies: str) -> None:
    process = await writing(url, folder, dies)
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL


def url_in(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder}/tieline.db"


async def test_a_draft_grows_is_read_cut_and_becomes_an_asset(disk_store: AssetStore, asset_folder: Path) -> None:
    async with disk_store.draft() as draft:
        await draft.append(b"first ")
        await draft.append(b"wrong")
        await draft.rewind(6)
        await draft.append(b"second")
        assert await draft.read(3, 6) == b"st sec"
        assert await draft.read(9, 100) == b"ond"
        digest = await draft.sha256()
        asset = await draft.commit(**NAMED)

    assert asset.sha256 == digest == hashlib.sha256(b"first second").hexdigest()
    assert asset.size == draft.size == 12
    assert await whole(disk_store.read(asset)) == b"first second"
    assert drafts(asset_folder) == []


async def test_a_draft_without_a_key_is_deleted_when_it_is_left(disk_store: AssetStore, asset_folder: Path) -> None:
    async with disk_store.draft() as draft:
        await draft.append(b"some")
        (file,) = drafts(asset_folder)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert drafts(asset_folder) == []


async def test_a_draft_with_a_key_is_found_again_by_that_key_alone(disk_store: AssetStore) -> None:
    async with disk_store.draft("run-1/step-1") as draft:
        await draft.append(CONTENT)
    async with disk_store.draft("run-1/step-2") as other:
        assert other.size == 0
    async with disk_store.draft("run-1/step-1") as again:
        assert again.size == len(CONTENT)
        assert await again.sha256() == hashlib.sha256(CONTENT).hexdigest()
        await again.append(b"more")
        assert await again.sha256() == hashlib.sha256(CONTENT + b"more").hexdigest()
        await again.discard()
    async with disk_store.draft("run-1/step-1") as anew:
        assert anew.size == 0


async def test_after_its_commit_a_key_begins_anew(disk_store: AssetStore) -> None:
    async with disk_store.draft("k") as draft:
        await draft.append(b"some")
        await draft.commit(**NAMED)
    async with disk_store.draft("k") as draft:
        assert draft.size == 0


@pytest.mark.parametrize("end", ["commit", "discard"])
async def test_a_draft_that_is_over_takes_nothing_more(disk_store: AssetStore, end: str) -> None:
    async with disk_store.draft() as draft:
        await (draft.commit(**NAMED) if end == "commit" else draft.discard())
        with pytest.raises(ValueError, match="is over"):
            await draft.append(b"more")


def everything(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_a_key_is_no_path(disk_store: AssetStore, asset_folder: Path, tmp_path: Path) -> None:
    async with disk_store.draft("../../escaped") as draft:
        await draft.append(b"x")
    assert len(drafts(asset_folder)) == 1
    assert not [path for path in everything(tmp_path) if path.name.startswith("escaped")]


async def test_what_stands_in_the_place_of_a_draft_is_not_followed(disk_store: AssetStore, asset_folder: Path) -> None:
    async with disk_store.draft("k") as draft:
        await draft.append(b"x")
    (file,) = drafts(asset_folder)
    victim = asset_folder / "victim"
    victim.write_bytes(b"precious")
    file.unlink()
    file.symlink_to(victim)

    with pytest.raises(AssetStoreUnavailable, match="symbolic links"):
        async with disk_store.draft("k"):
            pytest.fail("it was followed")

    assert victim.read_bytes() == b"precious"


async def test_a_disk_that_fills_up_leaves_what_was_appended_before(
    disk_store: AssetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite

    def half(descriptor: int, data: memoryview, offset: int) -> int:
        if offset > 6:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:3], offset)

    async with disk_store.draft("k") as draft:
        await draft.append(b"before")
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", half)
            with pytest.raises(AssetStoreUnavailable, match="No space left on device"):
                await draft.append(b"too much")
        assert draft.size == 6
    async with disk_store.draft("k") as draft:
        assert await draft.read(0, 100) == b"before"


async def held(folder: Path, asset_folder: Path) -> asyncio.subprocess.Process:
    """A process that has appended 256,000 bytes of `CONTENT`, and keeps the draft."""
    process = await writing(url_in(folder), asset_folder, "held")
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"held\n"
    return process


async def killed_now(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def test_a_second_process_waits_for_the_draft_of_one_that_ends_soon(
    disk_store: AssetStore, asset_folder: Path, tmp_path: Path
) -> None:
    first = await held(tmp_path, asset_folder)
    waiting = asyncio.ensure_future(size_of(disk_store, "run-1/step-1"))
    await asyncio.sleep(0)
    await killed_now(first)
    assert await asyncio.wait_for(waiting, 10) == 256_000


async def test_who_comes_after_a_process_that_stands_still_goes_on_beside_it(
    disk_store: AssetStore, asset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "WAIT_SECONDS", 0.0)
    stopped = await held(tmp_path, asset_folder)
    stopped.send_signal(signal.SIGSTOP)
    try:
        (its_own,) = drafts(asset_folder)
        async with disk_store.draft("run-1/step-1") as second:
            begun_with = second.size
            await second.append(CONTENT[:100_000])
        async with disk_store.draft("run-1/step-1") as third:
            found = third.size
            await third.append(CONTENT[100_000:])
            asset = await third.commit(**NAMED)
        os.utime(its_own, (0, 0))
        while_it_lives = (await collected(disk_store), drafts(asset_folder))
    finally:
        await killed_now(stopped)

    assert (begun_with, found) == (0, 100_000)
    assert await whole(disk_store.read(asset)) == CONTENT
    assert while_it_lives == ([], [its_own])
    assert (await collected(disk_store), drafts(asset_folder)) == ([256_000], [])


async def test_the_longest_of_the_drafts_that_nobody_writes_is_gone_on_with(
    disk_store: AssetStore, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "WAIT_SECONDS", 0.0)
    async with disk_store.draft("k") as first, disk_store.draft("k") as second:
        await first.append(b"some")
        await second.append(b"some more")

    assert await size_of(disk_store, "k") == len(b"some more")
    assert len(drafts(asset_folder)) == 2


async def test_no_more_drafts_are_begun_where_many_processes_stand_still(
    disk_store: AssetStore, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(draft, "AT_ONCE", 2)
    async with disk_store.draft("k"), disk_store.draft("k"):
        with pytest.raises(AssetStoreUnavailable, match=f"2 processes have begun the same file in {asset_folder}"):
            await size_of(disk_store, "k")


async def collected(store: AssetStore) -> list[int]:
    """The sizes of what was deleted."""

    async def ask(_: Collection[str]) -> Mapping[str, Fate]:
        return {}

    return [each.size for each in (await store.collect(ask, delete=True)).garbage]


async def test_who_waited_for_a_draft_that_was_committed_begins_anew_and_leaves_the_asset_alone(
    disk_store: AssetStore, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = asyncio.Event()
    real, loop = draft._lock, asyncio.get_running_loop()

    def lock(descriptor: int) -> bool:
        """Whoever comes second has opened the file before the first one commits it."""
        loop.call_soon_threadsafe(opened.set)
        if over.wait(timeout=10):
            return real(descriptor)
        return False

    over = threading.Event()
    async with disk_store.draft("k") as first:
        await first.append(CONTENT)
        monkeypatch.setattr(draft, "_lock", lock)
        second = asyncio.ensure_future(appended(disk_store, "k", b"more"))
        await opened.wait()
        asset = await first.commit(**NAMED)
    over.set()

    assert await second == b"more"
    assert await whole(disk_store.read(asset)) == CONTENT


async def appended(store: AssetStore, key: str, data: bytes) -> bytes:
    async with store.draft(key) as found:
        await found.append(data)
        return await found.read(0, len(CONTENT) * 2)


async def size_of(store: AssetStore, key: str) -> int:
    async with store.draft(key) as found:
        return found.size


async def test_what_was_appended_survives_the_kill_of_its_process(
    disk_store: AssetStore, asset_folder: Path, tmp_path: Path
) -> None:
    await killed(url_in(tmp_path), asset_folder, "appended")

    async with disk_store.draft("run-1/step-1") as found:
        assert found.size == 256_000
        await found.append(CONTENT[256_000:])
        asset = await found.commit(**NAMED)

    assert await whole(disk_store.read(asset)) == CONTENT


@pytest.mark.parametrize(("dies", "left"), [("announced", len(CONTENT)), ("placed", 0)])
async def test_a_process_killed_in_the_middle_of_a_commit_leaves_nothing_that_is_half(
    store: AssetStore, database_url: str, asset_folder: Path, dies: str, left: int
) -> None:
    await killed(database_url, asset_folder, dies)
    digest = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(AssetMissing):
        await store.info(digest)

    async with store.draft("run-1/step-1") as found:
        assert found.size == left
        await found.append(CONTENT[left:])
        asset = await found.commit(**NAMED)

    assert await whole(store.read(asset)) == CONTENT
    assert [holder.name for holder in (await store.info(digest)).holders] == ["run-1"]
    assert len(blobs(asset_folder)) == 1


async def test_a_cancelled_append_leaves_the_file_only_when_its_thread_has(disk_store: AssetStore) -> None:
    began, left = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        while not cancelled:
            pass
        left.append("thread")

    cancelled: list[bool] = []
    task = asyncio.ensure_future(in_thread(work))
    await began.wait()
    task.cancel()
    cancelled.append(True)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left == ["thread"]

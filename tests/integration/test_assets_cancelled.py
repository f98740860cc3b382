"""Who is cancelled while a file is opened: nothing stays open, and nothing locked."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from definitions.asset import Asset
from storage.assets import USER, AssetStore
from tests.fixtures.assets import CONTENT, drafts, pieces, whole


class Opening:
    """Files in this folder are open, and stay with the thread that has opened them until it may go on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.go_on = asyncio.Event(), threading.Event()
        loop, really = asyncio.get_running_loop(), os.open

        def opened(path: Path, *options: Any) -> int:
            descriptor = really(path, *options)
            if folder in Path(path).parents:
                loop.call_soon_threadsafe(self.done.set)
                self.go_on.wait(10)
            return descriptor

        monkeypatch.setattr(os, "open", opened)


@pytest_asyncio.fixture
async def asset(disk_store: AssetStore) -> Asset:
    async with disk_store.draft("key") as draft:
        await draft.append(b"some")
    return await disk_store.put(pieces(CONTENT), name="a", media_type="text/plain", holder=USER)


async def opened_draft(store: AssetStore, _: Asset) -> None:
    async with store.draft("key"):
        pass


async def read(store: AssetStore, asset: Asset) -> None:
    await whole(store.read(asset))


@pytest.mark.parametrize("work", [opened_draft, read])
async def test_nothing_that_was_opened_for_who_is_cancelled_stays_open(
    disk_store: AssetStore,
    asset: Asset,
    asset_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[AssetStore, Asset], Coroutine[Any, Any, None]],
) -> None:
    await cancelled(work(disk_store, asset), Opening(asset_folder, monkeypatch))
    assert [file for file in open_files() if file.startswith(str(asset_folder))] == []


async def test_the_next_attempt_goes_on_where_one_was_cancelled_while_it_opened_its_draft(
    disk_store: AssetStore, asset: Asset, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cancelled(opened_draft(disk_store, asset), Opening(asset_folder, monkeypatch))
    async with disk_store.draft("key") as draft:
        assert draft.size == len(b"some")
    assert len(drafts(asset_folder)) == 1


async def test_a_file_without_a_key_that_was_opened_for_who_is_cancelled_is_deleted(
    disk_store: AssetStore, asset: Asset, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = drafts(asset_folder)
    work = disk_store.put(pieces(CONTENT), name="b", media_type="text/plain", holder=USER)
    await cancelled(work, Opening(asset_folder, monkeypatch))
    assert drafts(asset_folder) == before


async def cancelled(work: Coroutine[Any, Any, object], opening: Opening) -> None:
    task = asyncio.ensure_future(work)
    await opening.done.wait()
    task.cancel()
    opening.go_on.set()
    await asyncio.wait([task])
    assert task.cancelled()


def open_files() -> list[str]:
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    return [os.readlink(link) for link in links if os.path.lexists(link)]

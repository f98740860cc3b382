"""What nothing needs any more goes, what anything needs stays, whoever puts the same content meanwhile."""

import asyncio
import random
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from sqlalchemy import select

from definitions.asset import Asset
from storage.assets import USER, AssetStore, Collected, Fate
from storage.assets.blobs import LocalBlobs
from storage.database import Database
from storage.errors import AssetMissing, DatabaseUnavailable
from storage.schema import asset_holders, assets
from tests.fixtures.assets import CONTENT, age, backdate, blobs, drafts, pieces, released, whole
from tests.fixtures.waiting import until


class PausingBlobs(LocalBlobs):
    """Stops where a blob is deleted, or put in its place, until it may go on."""

    def __init__(self, folder: Path, at: str) -> None:
        super().__init__(folder)
        self.at = at
        self.there, self.go_on = asyncio.Event(), asyncio.Event()

    async def delete(self, sha256: str) -> None:
        await self._pause("delete")
        await super().delete(sha256)

    async def place(self, file: Path, sha256: str, size: int) -> None:
        await self._pause("place")
        await super().place(file, sha256, size)

    async def _pause(self, at: str) -> None:
        if at == self.at:
            self.there.set()
            await self.go_on.wait()


async def put(store: AssetStore, holder: str = USER, content: bytes = CONTENT) -> Asset:
    return await store.put(pieces(content), name="orders.csv", media_type="text/csv", holder=holder)


async def collect(store: AssetStore, *, delete: bool = True, **fates: Fate) -> Collected:
    """`fates` by the holders' names; all others Temporal does not know."""

    async def ask(runs: Collection[str]) -> Mapping[str, Fate]:
        return {run: fates.get(run, Fate.UNKNOWN) for run in runs}

    return await store.collect(ask, delete=delete)


async def holders(database: Database) -> set[str]:
    async with database.read() as connection:
        return set(await connection.scalars(select(asset_holders.c.holder)))


def kinds(collected: Collected) -> list[str]:
    return [each.kind for each in collected.garbage]


async def test_what_anything_needs_stays(store: AssetStore, database: Database) -> None:
    asset = await put(store)
    await age(database, 29)

    assert (await collect(store)).garbage == []
    assert await whole(store.read(asset)) == CONTENT


async def test_without_being_told_to_nothing_is_deleted(
    store: AssetStore, database: Database, asset_folder: Path
) -> None:
    asset = await put(store)
    await age(database, 31)

    found = await collect(store, delete=False)

    assert [(each.kind, each.id, each.size) for each in found.garbage] == [("file", asset.sha256, len(CONTENT))]
    assert await whole(store.read(asset.sha256)) == CONTENT
    assert await holders(database) == {USER}
    assert len(blobs(asset_folder)) == 1


async def test_when_its_retention_has_passed_it_goes(store: AssetStore, database: Database, asset_folder: Path) -> None:
    asset = await put(store)
    await age(database, 31)

    found = await collect(store, delete=True)

    assert kinds(found) == ["file"]
    assert blobs(asset_folder) == []
    with pytest.raises(AssetMissing):
        await store.info(asset.sha256)
    assert (await collect(store)).garbage == []


async def test_what_nothing_holds_goes_at_once(
    disk_store: AssetStore, disk_database: Database, asset_folder: Path
) -> None:
    asset = await put(disk_store)
    await released(disk_database, asset.sha256)

    assert kinds(await collect(disk_store)) == ["file"]
    assert blobs(asset_folder) == []


@pytest.mark.parametrize(
    ("fate", "stays"), [(Fate.RUNNING, True), (Fate.NOT_ASKED, True), (Fate.ENDED, False), (Fate.UNKNOWN, False)]
)
async def test_a_run_keeps_its_file_while_it_is_under_way_or_may_be(
    disk_store: AssetStore, disk_database: Database, fate: Fate, stays: bool
) -> None:
    asset = await put(disk_store, "run")
    await age(disk_database, 1000)

    found = await collect(disk_store, run=fate)

    assert kinds(found) == ([] if stays else ["file"])
    assert found.kept == (fate is Fate.NOT_ASKED)
    if stays:
        assert await whole(disk_store.read(asset)) == CONTENT


@pytest.mark.parametrize(
    ("fate", "days", "stays"),
    [
        (Fate.RUNNING, 1000, True),
        (Fate.ENDED, 1000, True),
        (Fate.NOT_ASKED, 1000, True),
        (Fate.UNKNOWN, 1000, False),
        (Fate.UNKNOWN, 0.9, True),  # its run may be about to begin
    ],
)
async def test_a_payload_goes_only_when_temporal_no_longer_knows_its_run(
    disk_store: AssetStore, disk_database: Database, fate: Fate, days: float, stays: bool
) -> None:
    digest = await disk_store.put_payload(CONTENT, "run")
    await age(disk_database, days)

    found = await collect(disk_store, run=fate)

    assert kinds(found) == ([] if stays else ["payload"])
    if stays:
        assert await disk_store.read_payload(digest) == CONTENT


async def test_one_of_several_that_need_it_is_enough(disk_store: AssetStore, disk_database: Database) -> None:
    asset = await put(disk_store, "over")
    await disk_store.hold(asset.sha256, "running")
    await age(disk_database, 31)

    found = await collect(disk_store, running=Fate.RUNNING)

    assert found.garbage == []
    assert found.references == 1
    assert await holders(disk_database) == {"running"}
    assert await whole(disk_store.read(asset)) == CONTENT


async def test_drafts_that_nobody_goes_on_with_go(disk_store: AssetStore, asset_folder: Path) -> None:
    for key in ("old", "young"):
        async with disk_store.draft(key) as draft:
            await draft.append(key.encode())
    backdate(file_of(asset_folder, b"old"), 8)
    async with disk_store.draft("held") as held:
        await held.append(b"held")
        backdate(file_of(asset_folder, b"held"), 8)

        found = await collect(disk_store)

    assert [(each.kind, each.size) for each in found.garbage] == [("draft", 3)]
    assert sorted(file.read_bytes() for file in drafts(asset_folder)) == [b"held", b"young"]


async def test_drafts_of_runs_that_have_ended_go_at_once(disk_store: AssetStore, asset_folder: Path) -> None:
    fates = {f"run-{index:032x}": fate for index, fate in enumerate(Fate)}
    for run, fate in fates.items():
        async with disk_store.draft("key", run) as draft:
            await draft.append(fate.encode())

    async def ask(runs: Collection[str]) -> Mapping[str, Fate]:
        return {run: fates[run] for run in runs}

    found = await disk_store.collect(ask, delete=True)

    assert [(each.kind, each.why) for each in found.garbage] == [("draft", "its run has ended")] * 2
    assert sorted(file.read_text() for file in drafts(asset_folder)) == [Fate.NOT_ASKED, Fate.RUNNING]


async def test_what_else_stands_among_the_drafts_is_left_alone(disk_store: AssetStore, asset_folder: Path) -> None:
    async with disk_store.draft():
        (asset_folder / "staging" / "folder").mkdir()
        (asset_folder / "staging" / "link").symlink_to("/etc/passwd")

    assert (await collect(disk_store)).garbage == []
    assert [path.name for path in drafts(asset_folder)] == ["folder", "link"]


def file_of(folder: Path, content: bytes) -> Path:
    (file,) = (file for file in drafts(folder) if file.read_bytes() == content)
    return file


async def test_content_that_the_database_does_not_know_goes_after_a_day(
    store: AssetStore, database: Database, asset_folder: Path
) -> None:
    await put(store)
    (blob,) = blobs(asset_folder)
    async with database.write() as connection:
        await connection.execute(assets.delete())
    assert (await collect(store)).garbage == []

    backdate(blob, 1.1)
    assert kinds(await collect(store, delete=False)) == ["orphan"]
    assert kinds(await collect(store, delete=True)) == ["orphan"]

    assert blobs(asset_folder) == []


async def test_content_that_was_never_put_to_an_end_goes_after_a_day(
    store: AssetStore, database: Database, asset_folder: Path
) -> None:
    pausing = PausingBlobs(asset_folder, "place")
    task = asyncio.ensure_future(put(AssetStore(database, asset_folder, pausing)))
    await pausing.there.wait()
    task.cancel()
    await asyncio.wait([task])
    assert (await collect(store)).garbage == []

    await age(database, 1.1)
    assert kinds(await collect(store)) == ["unfinished"]
    assert await holders(database) == set()


async def test_who_puts_content_while_it_is_collected_has_it_afterwards(
    store: AssetStore, database: Database, asset_folder: Path
) -> None:
    asset = await put(store)
    await released(database, asset.sha256)
    pausing = PausingBlobs(asset_folder, "delete")
    collecting = asyncio.ensure_future(collect(AssetStore(database, asset_folder, pausing)))
    await pausing.there.wait()

    putting = asyncio.ensure_future(put(store, "run"))
    await until(lambda: bool(drafts(asset_folder)))
    done, _ = await asyncio.wait([putting], timeout=0.2)
    pausing.go_on.set()

    assert done == set()
    assert kinds(await collecting) == ["file"]
    assert await whole(store.read(await putting)) == CONTENT
    assert await whole(store.read(asset.sha256)) == CONTENT


async def test_what_is_being_put_while_others_collect_is_not_theirs(
    store: AssetStore, database: Database, asset_folder: Path
) -> None:
    asset = await put(store)
    await released(database, asset.sha256)
    pausing = PausingBlobs(asset_folder, "place")
    putting = asyncio.ensure_future(put(AssetStore(database, asset_folder, pausing), "run"))
    await pausing.there.wait()

    assert (await collect(store)).garbage == []
    pausing.go_on.set()

    assert await whole(store.read(await putting)) == CONTENT


async def test_who_takes_content_up_while_it_is_collected_is_told_that_it_is_gone(
    store: AssetStore, database: Database, asset_folder: Path
) -> None:
    asset = await put(store)
    await released(database, asset.sha256)
    pausing = PausingBlobs(asset_folder, "delete")
    collecting = asyncio.ensure_future(collect(AssetStore(database, asset_folder, pausing)))
    await pausing.there.wait()

    holding = asyncio.ensure_future(store.hold(asset.sha256, "run"))
    await asyncio.wait([holding], timeout=0.1)
    pausing.go_on.set()

    with pytest.raises(AssetMissing):
        await holding
    assert kinds(await collecting) == ["file"]


async def test_no_interleaving_of_puts_releases_and_collections_loses_what_is_held(
    store: AssetStore, database: Database
) -> None:
    collections = 0

    async def putting(holder: str) -> None:
        while collections < 3:
            asset = await put(store, holder, b"the same content")
            assert await whole(store.read(asset.sha256)) == b"the same content"
            await released(database, asset.sha256, holder)
            await asyncio.sleep(random.random() / 100)

    async def collecting() -> None:
        nonlocal collections
        while collections < 3:
            collections += len((await collect(store)).garbage)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for work in (putting("run-1"), putting("run-2"), collecting()):
            tasks.create_task(work)


async def test_a_database_that_fails_in_the_middle_leaves_an_asset_that_can_be_put_again(
    disk_store: AssetStore, disk_database: Database, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blob is gone, its row is not."""
    asset = await put(disk_store)
    await released(disk_database, asset.sha256)
    real = LocalBlobs.delete

    async def delete_and_fail(self: LocalBlobs, sha256: str) -> None:
        await real(self, sha256)
        raise DatabaseUnavailable("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr(LocalBlobs, "delete", delete_and_fail)
        with pytest.raises(DatabaseUnavailable):
            await collect(disk_store)
    assert blobs(asset_folder) == []

    again = await put(disk_store, "run")

    assert await whole(disk_store.read(again.sha256)) == CONTENT

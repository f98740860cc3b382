"""Several installations in one place: none deletes what may be another's."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from definitions.asset import Asset
from storage.assets import USER, AssetStore, Collected, garbage
from storage.assets.blobs import Blobs, LocalBlobs
from storage.assets.s3 import S3Blobs
from storage.database import Database
from storage.schema import assets
from tests.fixtures.assets import age, marks, of_another_installation, pieces, whole
from tests.fixtures.databases import migrated_sqlite
from tests.fixtures.s3 import S3Server

OURS, THEIRS = b"of ours", b"of theirs"
OTHER = "f" * 32


@pytest.fixture(autouse=True)
def judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket's times cannot be set back."""
    monkeypatch.setattr(garbage, "GRACE_SECONDS", -1)


@pytest.fixture(params=["folder", "bucket"])
def opened_again(request: pytest.FixtureRequest, asset_folder: Path) -> Callable[[], Blobs]:
    """One place, as each process opens it."""
    if request.param == "folder":
        return lambda: LocalBlobs(asset_folder)
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.bucket()
    return lambda: S3Blobs(bucket)


@pytest_asyncio.fixture
async def other_database(tmp_path: Path) -> AsyncIterator[Database]:
    """Of another installation."""
    database = await of_another_installation(Database(await migrated_sqlite(tmp_path / "other.db")), OTHER)
    yield database
    await database.dispose()


@pytest.fixture
def ours(disk_database: Database, asset_folder: Path, opened_again: Callable[[], Blobs]) -> AssetStore:
    return AssetStore(disk_database, asset_folder, opened_again())


@pytest.fixture
def theirs(other_database: Database, tmp_path: Path, opened_again: Callable[[], Blobs]) -> AssetStore:
    return AssetStore(other_database, tmp_path / "elsewhere", opened_again())


@pytest.fixture
def in_folder(other_database: Database, asset_folder: Path) -> AssetStore:
    """Theirs, where ours is `disk_store`."""
    return AssetStore(other_database, asset_folder)


async def put(store: AssetStore, content: bytes) -> Asset:
    return await store.put(pieces(content), name="a", media_type="text/plain", holder=USER)


async def collect(store: AssetStore, *, delete: bool = True, take_over: bool = False) -> Collected:
    async def ask(_: object) -> dict[str, object]:
        return {}

    return await store.collect(ask, delete=delete, take_over=take_over)  # type: ignore[arg-type]


async def forgotten(database: Database) -> None:
    """As after an older database was restored."""
    async with database.write() as connection:
        await connection.execute(assets.delete())


def kinds(found: Collected) -> tuple[list[str], list[str]]:
    return [each.kind for each in found.garbage], [each.kind for each in found.left]


async def test_a_database_that_was_made_by_mistake_deletes_nothing(ours: AssetStore, theirs: AssetStore) -> None:
    asset = await put(theirs, THEIRS)

    found = await collect(ours)

    assert kinds(found) == ([], ["orphan"])
    assert f"{ours.where} also holds files of another installation (ffffffff)" in (found.objection or "")
    assert "TIELINE_DATABASE_URL" in (found.objection or "")
    assert await whole(theirs.read(asset)) == THEIRS


async def test_two_installations_in_one_place_delete_nothing_of_each_other(
    ours: AssetStore, theirs: AssetStore, disk_database: Database
) -> None:
    first, second = await put(ours, OURS), await put(theirs, THEIRS)
    await put(ours, THEIRS)
    await age(disk_database, 31)

    one, two = await collect(ours), await collect(theirs)

    assert kinds(one) == ([], ["file", "file"])
    assert kinds(two) == ([], ["orphan"])
    assert await whole(ours.read(first)) == OURS
    assert await whole(theirs.read(second)) == THEIRS


async def test_what_a_system_leaves_in_each_folder_is_no_installation(
    ours: AssetStore, disk_database: Database, opened_again: Callable[[], Blobs]
) -> None:
    await put(ours, OURS)
    await opened_again().mark(".DS_Store")
    await age(disk_database, 31)

    assert kinds(await collect(ours)) == (["file"], [])


async def test_a_place_is_taken_over_once(
    ours: AssetStore, theirs: AssetStore, disk_database: Database, opened_again: Callable[[], Blobs]
) -> None:
    await put(theirs, THEIRS)
    before = await opened_again().marks()

    listed = await collect(ours, delete=False, take_over=True)
    untouched = await opened_again().marks()
    deleted = await collect(ours, take_over=True)
    await put(ours, OURS)
    await forgotten(disk_database)
    later = await collect(ours)

    assert kinds(listed) == kinds(deleted) == kinds(later) == (["orphan"], [])
    assert untouched == before
    assert [blob async for blob in opened_again().every()] == []


async def test_a_database_that_knows_no_asset_is_told_to_be_the_wrong_one(ours: AssetStore, theirs: AssetStore) -> None:
    await put(theirs, THEIRS)
    without = await collect(ours)
    await put(ours, OURS)
    with_one = await collect(ours)

    told = [
        "knows no asset at all, and may be the wrong one" in (found.objection or "") for found in (without, with_one)
    ]
    assert told == [True, False]


async def test_who_goes_on_in_a_place_that_was_taken_over_is_seen_again(
    disk_store: AssetStore, in_folder: AssetStore, other_database: Database, asset_folder: Path
) -> None:
    await put(in_folder, THEIRS)
    await collect(disk_store, take_over=True)

    await put(AssetStore(other_database, asset_folder), THEIRS)

    assert kinds(await collect(disk_store)) == ([], ["orphan"])


async def test_what_was_put_before_there_were_marks_is_ours_when_we_know_all_of_it(
    disk_store: AssetStore, disk_database: Database, asset_folder: Path
) -> None:
    await before_there_were_marks(disk_store, asset_folder)
    after = AssetStore(disk_database, asset_folder)
    await put(after, b"with a mark")

    await collect(after, delete=False)
    listed = marks(asset_folder)
    await collect(after)
    await forgotten(disk_database)

    assert [mark.endswith(".alone") for mark in listed] == [False]
    assert kinds(await collect(after)) == (["orphan"] * 2, [])


async def before_there_were_marks(store: AssetStore, folder: Path) -> None:
    await put(store, OURS)
    shutil.rmtree(folder / "installations")


@pytest.mark.parametrize("old", [True, False], ids=["long ago", "just now"])
async def test_what_was_put_before_there_were_marks_and_we_do_not_know_stays_until_somebody_says_whose_it_is(
    disk_store: AssetStore,
    in_folder: AssetStore,
    disk_database: Database,
    asset_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    old: bool,
) -> None:
    await before_there_were_marks(in_folder, asset_folder)
    await put(disk_store, b"with a mark")
    monkeypatch.setattr(garbage, "GRACE_SECONDS", -1 if old else 3600)
    await collect(disk_store)
    monkeypatch.setattr(garbage, "GRACE_SECONDS", -1)

    found = await collect(disk_store)

    assert kinds(found) == ([], ["orphan"])
    assert "lay in" in (found.objection or "")
    assert kinds(await collect(disk_store, take_over=True)) == (["orphan"], [])
    assert [blob.size async for blob in LocalBlobs(asset_folder).every()] == [len(b"with a mark")]


async def test_a_process_leaves_its_mark_before_its_first_file(
    disk_store: AssetStore, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(LocalBlobs, "place", refuse)
    with pytest.raises(OSError, match="no room"):
        await put(disk_store, OURS)

    (mark,) = (asset_folder / "installations").iterdir()
    assert mark.name.endswith(".alone")
    assert mark.stat().st_mode & 0o777 == 0o600

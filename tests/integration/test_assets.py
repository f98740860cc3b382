"""Files by reference: put, read, held and listed, on both databases and a real folder."""

import asyncio
import hashlib
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from definitions.asset import Asset
from storage.assets import USER, AssetStore
from storage.database import Database
from storage.errors import AssetDamaged, AssetMissing, AssetStoreUnavailable, AssetTooLarge
from tests.fixtures.assets import CONTENT, blobs, drafts, pieces, whole

ROOT = Path(__file__).parents[2]
DIGEST = hashlib.sha256(CONTENT).hexdigest()

PUTTING = """
import asyncio, sys
from pathlib import Path
from storage.assets import AssetStore
from storage.database import Database

async def put():
    database = Database(sys.argv[1])
    async def content():
        yield bytes(range(256)) * 2048
    for _ in range(5):
        await AssetStore(database, Path(sys.argv[2])).put(content(), name="a", media_type="text/plain", holder="user")
    await database.dispose()

asyncio.run(put())
"""


async def put(store: AssetStore, content: bytes = CONTENT, name: str = "orders.csv", holder: str = USER) -> Asset:
    return await store.put(pieces(content), name=name, media_type="text/csv", holder=holder)


async def take(chunks: AsyncIterator[bytes], got: list[bytes]) -> None:
    async for chunk in chunks:
        got.append(chunk)


async def test_what_is_put_is_named_by_its_digest_and_comes_back(store: AssetStore) -> None:
    asset = await put(store)

    assert asset == Asset(sha256=DIGEST, size=len(CONTENT), name="orders.csv", media_type="text/csv")
    assert await whole(store.read(asset)) == CONTENT
    assert await whole(store.read(DIGEST)) == CONTENT


async def test_an_empty_file_is_an_asset_too(disk_store: AssetStore) -> None:
    asset = await put(disk_store, b"")
    assert asset.size == 0
    assert await whole(disk_store.read(asset)) == b""


async def test_files_and_folders_are_for_their_owner_only_and_no_draft_is_left(
    disk_store: AssetStore, asset_folder: Path
) -> None:
    await put(disk_store)

    (blob,) = blobs(asset_folder)
    folders = blob.parent, asset_folder / "staging"
    assert stat.S_IMODE(blob.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (asset_folder, *folders)} == {0o700}
    assert drafts(asset_folder) == []


async def test_the_same_content_is_kept_once_with_the_first_name_for_all_that_hold_it(
    store: AssetStore, asset_folder: Path
) -> None:
    await put(store)
    second = await put(store, name="again.csv", holder="run-2")

    info = await store.info(DIGEST)
    assert second.name == "again.csv"
    assert info.name == "orders.csv"
    assert [holder.name for holder in info.holders] == [USER, "run-2"]
    assert len(blobs(asset_folder)) == 1


async def test_processes_that_put_the_same_content_at_once_do_not_disturb_each_other(
    store: AssetStore, database_url: str, asset_folder: Path
) -> None:
    command = [sys.executable, "-c", PUTTING, database_url, str(asset_folder)]
    processes = [await asyncio.create_subprocess_exec(*command, cwd=ROOT) for _ in range(2)]

    assert [await asyncio.wait_for(process.wait(), 60) for process in processes] == [0, 0]

    assert await whole(store.read(DIGEST)) == CONTENT
    assert drafts(asset_folder) == []


async def test_tasks_that_put_the_same_content_at_once_do_not_disturb_each_other(
    store: AssetStore, asset_folder: Path
) -> None:
    kept = await asyncio.gather(*(put(store, holder=f"run-{number}") for number in range(5)))

    assert len(set(kept)) == 1
    assert len((await store.info(DIGEST)).holders) == 5
    assert len(blobs(asset_folder)) == 1


@pytest.mark.parametrize("start", [0, 1, 262_143, 262_144, 300_000, len(CONTENT) - 1, len(CONTENT)])
async def test_reading_goes_on_at_any_byte(disk_store: AssetStore, start: int) -> None:
    asset = await put(disk_store)
    assert await whole(disk_store.read(asset, start)) == CONTENT[start:]


async def test_a_range_is_read_alone(disk_store: AssetStore) -> None:
    asset = await put(disk_store)
    assert await whole(disk_store.stream_range(asset.sha256, 262_000, 300)) == CONTENT[262_000:262_300]
    assert await whole(disk_store.stream_range(asset.sha256, len(CONTENT) - 5, 300)) == CONTENT[-5:]


@pytest.mark.parametrize("damage", ["bit", "cut", "longer", "emptied"])
@pytest.mark.parametrize("start", [0, 400_000])
async def test_a_damaged_file_is_told_before_its_last_bytes_are_given_out(
    disk_store: AssetStore, asset_folder: Path, damage: str, start: int
) -> None:
    asset = await put(disk_store)
    (blob,) = blobs(asset_folder)
    flipped = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    blob.write_bytes({"bit": flipped, "cut": CONTENT[:-1], "longer": CONTENT + b"x", "emptied": b""}[damage])

    got: list[bytes] = []
    with pytest.raises(AssetDamaged, match=rf"{DIGEST[:12]}… in {asset_folder} .*: restore it from a backup, or put"):
        await take(disk_store.read(asset, start), got)

    assert sum(map(len, got)) < len(CONTENT) - start


async def test_putting_it_again_mends_a_damaged_file(disk_store: AssetStore, asset_folder: Path) -> None:
    asset = await put(disk_store)
    (blob,) = blobs(asset_folder)
    blob.write_bytes(b"x" * len(CONTENT))

    await put(disk_store)

    assert await whole(disk_store.read(asset)) == CONTENT


async def test_an_asset_whose_content_is_lost_is_told_with_the_place(
    disk_store: AssetStore, asset_folder: Path
) -> None:
    asset = await put(disk_store)
    (blob,) = blobs(asset_folder)
    blob.unlink()

    with pytest.raises(AssetMissing, match=rf"content of asset {DIGEST[:12]}… is not in {asset_folder}: every process"):
        await whole(disk_store.read(asset))


@pytest.mark.parametrize("reference", ["../secret", "/etc/passwd", "", "A" * 64, "0" * 63, f"{'0' * 64}\n"])
async def test_a_reference_cannot_lead_out_of_the_folder(disk_store: AssetStore, reference: str) -> None:
    with pytest.raises(AssetMissing):
        await whole(disk_store.stream_range(reference, 0, 10))


async def test_an_asset_that_was_never_put_cannot_be_held_or_looked_at(store: AssetStore) -> None:
    with pytest.raises(AssetMissing, match="there is no asset 000000000000…: it was never put, or collected"):
        await store.hold("0" * 64, "run-1")
    with pytest.raises(AssetMissing, match="there is no asset"):
        await store.info("0" * 64)


async def test_a_hold_is_renewed(store: AssetStore) -> None:
    asset = await put(store, holder="run-1")
    before = (await store.info(asset.sha256)).holders[0]
    await store.hold(asset.sha256, "run-1")
    (renewed,) = (await store.info(asset.sha256)).holders
    assert before.until is not None
    assert renewed.until is not None
    assert renewed.until > before.until
    assert renewed.until - renewed.since == pytest.approx(30 * 86400, abs=5)


async def test_a_file_larger_than_the_limit_is_refused_and_leaves_nothing(
    disk_store: AssetStore, asset_folder: Path
) -> None:
    with pytest.raises(AssetTooLarge, match="more than 400000 bytes"):
        await disk_store.put(pieces(CONTENT), name="a", media_type="text/csv", holder=USER, limit=400_000)
    assert blobs(asset_folder) + drafts(asset_folder) == []


async def test_a_file_that_is_not_what_was_announced_is_refused(disk_store: AssetStore, asset_folder: Path) -> None:
    with pytest.raises(AssetDamaged, match="another SHA-256"):
        await disk_store.put(pieces(CONTENT), name="a", media_type="text/csv", holder=USER, sha256="0" * 64)
    assert blobs(asset_folder) + drafts(asset_folder) == []


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "a\nb", "a\0b", "", ".", "..", "ä" * 128])
async def test_a_name_that_could_be_a_path_is_refused_before_anything_is_read(
    disk_store: AssetStore, name: str
) -> None:
    async def content() -> object:
        pytest.fail("it was read")
        yield b""

    with pytest.raises(ValidationError):
        await disk_store.put(content(), name=name, media_type="text/csv", holder=USER)  # type: ignore[arg-type]


async def test_assets_are_listed_newest_first_page_by_page(store: AssetStore) -> None:
    for number in range(5):
        await put(store, b"%d" % number, name=f"{number}.txt")

    first = await store.list(limit=3)
    second = await store.list(limit=3, after=(first[-1].created_at, first[-1].sha256))

    assert [asset.name for asset in (*first, *second)] == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]


async def test_an_asset_is_found_by_the_beginning_of_its_digest(store: AssetStore) -> None:
    await put(store)
    assert await store.resolve(DIGEST[:8]) == DIGEST
    assert await store.resolve(DIGEST.upper()) == DIGEST
    for prefix, told in ((DIGEST[:7], "give 8 digits"), ("00000000", "there is no asset"), ("%" * 8, "names no asset")):
        with pytest.raises(AssetMissing, match=told):
            await store.resolve(prefix)


async def test_a_payload_is_kept_but_is_no_file_that_anybody_sees(store: AssetStore) -> None:
    digest = await store.put_payload(CONTENT, "run-1")

    assert await store.read_payload(digest) == CONTENT
    assert await store.list() == []
    with pytest.raises(AssetMissing):
        await store.resolve(digest)


async def test_a_folder_that_cannot_be_made_is_told(database: Database, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(AssetStoreUnavailable, match=rf"no file can be made in {blocked}/staging: it is no folder"):
        await put(AssetStore(database, blocked))


@pytest.mark.parametrize("call", ["pwrite", "fsync", "replace"])
async def test_a_full_disk_is_told_and_leaves_nothing_that_looks_whole(
    disk_store: AssetStore, asset_folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(AssetStoreUnavailable, match=rf"{asset_folder}.*: No space left on device; see to room"):
            await put(disk_store)

    assert blobs(asset_folder) + drafts(asset_folder) == []
    with pytest.raises(AssetMissing):
        await disk_store.info(DIGEST)

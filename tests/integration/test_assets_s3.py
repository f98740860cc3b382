"""Assets in a bucket of a real S3-compatible server."""

import asyncio
import logging
import os
import signal
import sys
import traceback
from pathlib import Path

import pytest
from temporalio.converter import DataConverter

from auth.keys import Keyring
from definitions.asset import Asset
from runtime.payload_store import PayloadStore
from runtime.plugin import data_converter
from storage.assets import USER, AssetStore, Fate, garbage, s3
from storage.assets.s3 import Bucket, S3Blobs
from storage.database import Database
from storage.errors import AssetDamaged, AssetMissing, AssetStoreUnavailable
from storage.schema import assets
from tests.fixtures.assets import CONTENT, age, blobs, drafts, pieces, whole
from tests.fixtures.s3 import ACCESS_KEY_ID, SECRET, S3Server, Way

ROOT = Path(__file__).parents[2]
LARGE = os.urandom(1024 * 1024) * 9
"""More than one part of an upload."""


@pytest.fixture
def bucket(s3_server: S3Server) -> Bucket:
    return s3_server.bucket()


@pytest.fixture
def in_bucket(disk_database: Database, asset_folder: Path, bucket: Bucket) -> AssetStore:
    return AssetStore(disk_database, asset_folder, S3Blobs(bucket))


@pytest.fixture
def by_the_way(disk_database: Database, asset_folder: Path, s3_server: S3Server, s3_way: Way) -> AssetStore:
    """One whose server answers a range with 206."""
    return AssetStore(disk_database, asset_folder, S3Blobs(s3_server.bucket(endpoint=s3_way.endpoint)))


@pytest.fixture(params=["in_bucket", "by_the_way"])
def either(request: pytest.FixtureRequest) -> AssetStore:
    store: AssetStore = request.getfixturevalue(request.param)
    return store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_RETRIES", {**s3._RETRIES, "max_retries": 0})


async def put(store: AssetStore, content: bytes = CONTENT, holder: str = USER) -> Asset:
    return await store.put(pieces(content), name="orders.csv", media_type="text/csv", holder=holder)


def shown(error: BaseException) -> str:
    """Everything that a log would show of it."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("content", [b"", CONTENT, LARGE], ids=["empty", "one part", "several parts"])
async def test_what_is_put_comes_back_and_nothing_stays_on_this_machine(
    either: AssetStore, asset_folder: Path, content: bytes
) -> None:
    asset = await put(either, content)

    assert await whole(either.read(asset)) == content
    assert blobs(asset_folder) == []
    assert drafts(asset_folder) == []


async def test_blobs_lie_under_their_digest_below_the_prefix(
    in_bucket: AssetStore, s3_server: S3Server, bucket: Bucket
) -> None:
    asset = await put(in_bucket)
    (blob,) = s3_server.blobs(bucket)
    expected = f"{bucket.prefix}/{asset.sha256[:2]}/{asset.sha256}"
    assert blob.relative_to(s3_server.folder).as_posix() == expected


@pytest.mark.parametrize("start", [1, 300_000, len(CONTENT)])
async def test_reading_goes_on_at_any_byte(either: AssetStore, start: int) -> None:
    asset = await put(either)
    assert await whole(either.read(asset, start)) == CONTENT[start:]


@pytest.mark.parametrize(("start", "length"), [(0, 10), (262_000, 300_000), (len(CONTENT) - 5, 5), (7, 0)])
async def test_a_range_is_read_alone(either: AssetStore, start: int, length: int) -> None:
    asset = await put(either)
    assert await whole(either.stream_range(asset.sha256, start, length)) == CONTENT[start : start + length]


async def test_content_that_is_lost_is_told_with_the_bucket(in_bucket: AssetStore, bucket: Bucket) -> None:
    asset = await put(in_bucket)
    await S3Blobs(bucket).delete(asset.sha256)
    with pytest.raises(AssetMissing, match=f"is not in s3://tieline/{bucket.prefix} at {bucket.endpoint}"):
        await whole(in_bucket.read(asset))


async def test_damaged_content_is_told_and_mended_by_putting_it_again(
    in_bucket: AssetStore, s3_server: S3Server, bucket: Bucket
) -> None:
    asset = await put(in_bucket)
    s3_server.blobs(bucket)[0].write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(AssetDamaged, match="was altered"):
        await whole(in_bucket.read(asset))

    await put(in_bucket)
    assert await whole(in_bucket.read(asset)) == CONTENT


async def test_what_nothing_needs_is_deleted_and_what_nobody_knows(
    in_bucket: AssetStore,
    disk_database: Database,
    s3_server: S3Server,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asset, orphan = await put(in_bucket), await put(in_bucket, b"orphan")
    await age(disk_database, 31)
    async with disk_database.write() as connection:
        await connection.execute(assets.delete().where(assets.c.sha256 == orphan.sha256))
    monkeypatch.setattr(garbage, "GRACE_SECONDS", -1)

    async def ask(runs: object) -> dict[str, Fate]:
        return {}

    listed = await in_bucket.collect(ask, delete=False)
    assert len(s3_server.blobs(bucket)) == 2
    deleted = await in_bucket.collect(ask, delete=True)

    assert [(each.kind, each.id) for each in listed.garbage] == [("file", asset.sha256), ("orphan", orphan.sha256)]
    assert deleted.garbage == listed.garbage
    assert s3_server.blobs(bucket) == []


async def test_large_payloads_of_histories_lie_there_too(
    in_bucket: AssetStore, tmp_path: Path, s3_server: S3Server, bucket: Bucket
) -> None:
    converter: DataConverter = data_converter(Keyring("k", {"k": bytes(32)}), PayloadStore(in_bucket, tmp_path))
    (payload,) = await converter.encode(["jane@example.com " * 20_000])

    assert await converter.decode([payload], [str]) == ["jane@example.com " * 20_000]
    (blob,) = s3_server.blobs(bucket)
    assert b"jane" not in blob.read_bytes()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"key": (ACCESS_KEY_ID, "planted-wrong-secret")},
            r"it refused us \(SignatureDoesNotMatch\); correct ",
        ),
        ({"key": ("NOBODY", "planted-wrong-secret")}, r"it refused us \(InvalidAccessKeyId\); correct TIELINE_ASSETS"),
        ({"name": "nowhere"}, "there is no such bucket; make it, or correct TIELINE_ASSETS_URL"),
        ({"endpoint": "http://127.0.0.1:1"}, "it does not answer; see that it runs, and that TIELINE_ASSETS_ENDPOINT"),
    ],
    ids=["wrong secret", "unknown key", "no bucket", "down"],
)
async def test_a_server_that_cannot_be_used_is_told_without_any_secret(
    disk_database: Database,
    asset_folder: Path,
    bucket: Bucket,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, str],
    told: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = Bucket(**{**{name: getattr(bucket, name) for name in Bucket.__slots__}, **change})
    there = S3Blobs(wrong)
    store = AssetStore(disk_database, asset_folder, there)

    with pytest.raises(AssetStoreUnavailable, match=told) as put_error:
        await put(store)
    with pytest.raises(AssetStoreUnavailable, match=told) as read_error:
        await whole(store.stream_range("0" * 64, 0, 10))
    with pytest.raises(AssetStoreUnavailable, match=told) as list_error:
        await whole_list(there)

    texts = [*(shown(each.value) for each in (put_error, read_error, list_error)), caplog.text]
    texts += [repr(wrong), repr(there), str(vars(there))]
    assert not [text for text in texts if "planted" in text]


async def whole_list(blobs: S3Blobs) -> list[object]:
    return [blob async for blob in blobs.every()]


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_is_cut_in_the_middle_never_looks_like_the_end(
    by_the_way: AssetStore, s3_way: Way
) -> None:
    asset = await put(by_the_way, LARGE)
    s3_way.cut_answers_after = 1_000_000
    with pytest.raises((AssetStoreUnavailable, AssetDamaged)):
        await whole(by_the_way.read(asset))


async def test_what_the_environment_says_for_others_changes_nothing(
    disk_database: Database, asset_folder: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_BUCKET"):
        monkeypatch.setenv(name, "somebody-elses")
    store = AssetStore(disk_database, asset_folder, S3Blobs(bucket))

    assert await whole(store.read(await put(store))) == CONTENT


PUTTING = """
import asyncio, sys
from pathlib import Path
from storage.assets import AssetStore
from storage.assets.s3 import Bucket, S3Blobs
from storage.database import Database

url, folder, name, endpoint, key, secret = sys.argv[1:]

async def put():
    blobs = S3Blobs(Bucket(name, "", endpoint, "us-east-1", (key, secret)))
    async with AssetStore(Database(url), Path(folder), blobs).draft("run-1/step-1") as draft:
        await draft.append(bytes(9 * 1024 * 1024))
        await draft.commit(name="zeros", media_type="text/plain", holder="run-1")

asyncio.run(put())
"""


async def test_a_process_killed_in_the_middle_of_an_upload_leaves_nothing_that_is_half(
    disk_database: Database, tmp_path: Path, asset_folder: Path, s3_server: S3Server, s3_way: Way
) -> None:
    bucket = s3_server.bucket(endpoint=s3_way.endpoint)
    s3_way.stop_requests_after = 1_000_000
    arguments = [f"sqlite+aiosqlite:///{tmp_path}/tieline.db", str(asset_folder), bucket.name, s3_way.endpoint]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUTTING, *arguments, ACCESS_KEY_ID, SECRET, cwd=ROOT
    )
    await asyncio.wait_for(s3_way.stopped.wait(), 30)
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    assert s3_server.blobs(bucket) == []
    s3_way.stop_requests_after = None

    store = AssetStore(disk_database, asset_folder, S3Blobs(bucket))
    async with store.draft("run-1/step-1") as found:
        assert found.size == 9 * 1024 * 1024
        asset = await found.commit(name="zeros", media_type="text/plain", holder="run-1")

    assert await whole(store.read(asset.sha256)) == bytes(9 * 1024 * 1024)

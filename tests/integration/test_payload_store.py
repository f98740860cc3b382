"""Large payloads in real files, by way of the data converter that workers and clients use."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    StorageDriverActivityInfo,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)
from temporalio.testing import ActivityEnvironment

from auth.keys import Keyring
from runtime.payload_store import THRESHOLD_BYTES, PayloadStore, PayloadUnavailable
from runtime.plugin import data_converter
from storage.assets import AssetStore
from storage.database import Database
from storage.schema import asset_holders
from tests.fixtures.assets import blobs

KEYS = Keyring("k", {"k": bytes(32)})
LARGE = "jane@example.com " * (THRESHOLD_BYTES // 16)


@pytest.fixture
def payloads(disk_store: AssetStore, tmp_path: Path) -> PayloadStore:
    return PayloadStore(disk_store, tmp_path)


@pytest.fixture
def converter(payloads: PayloadStore) -> DataConverter:
    return data_converter(KEYS, payloads)


async def stored(converter: DataConverter, folder: Path) -> tuple[Payload, Path]:
    """A large value's reference, and the one file that it refers to."""
    (payload,) = await converter.encode([LARGE])
    (file,) = blobs(folder)
    return payload, file


async def test_a_large_payload_is_kept_in_a_file_and_comes_back(converter: DataConverter, asset_folder: Path) -> None:
    payload, file = await stored(converter, asset_folder)
    assert payload.ByteSize() < 1000
    assert file.stat().st_size > THRESHOLD_BYTES
    assert await converter.decode([payload], [str]) == [LARGE]


async def test_the_file_is_encrypted_and_for_its_owner_only(converter: DataConverter, asset_folder: Path) -> None:
    _, file = await stored(converter, asset_folder)
    assert b"jane" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_a_small_payload_stays_in_the_history_and_asks_no_database(tmp_path: Path) -> None:
    nowhere = AssetStore(Database(f"sqlite+aiosqlite:///{tmp_path}/nowhere/tieline.db"), tmp_path / "assets")
    converter = data_converter(KEYS, PayloadStore(nowhere, tmp_path))

    payloads = await converter.encode(["jane@example.com"])

    assert await converter.decode(payloads, [str]) == ["jane@example.com"]
    assert everything(tmp_path) == []


def everything(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_the_run_that_it_belongs_to_holds_it_for_as_long_as_temporal_knows_that_run(
    payloads: PayloadStore, disk_database: Database
) -> None:
    run = StorageDriverWorkflowInfo(namespace="default", id="run-1")
    (claim,) = await payloads.store(StorageDriverStoreContext(target=run), [Payload(data=b"x")])

    async with disk_database.read() as connection:
        held = (await connection.execute(select(asset_holders))).one()
    assert (held.sha256, held.holder, held.until) == (claim.claim_data["sha256"], "run-1", None)


@pytest.mark.parametrize("target", [StorageDriverActivityInfo(namespace="default", id="1"), None])
async def test_the_run_of_an_activity_holds_what_its_heartbeats_tell(
    payloads: PayloadStore, disk_database: Database, target: StorageDriverActivityInfo | None
) -> None:
    context = StorageDriverStoreContext(target=target)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id="run-1")

    await environment.run(payloads.store, context, [Payload(data=b"x")])

    async with disk_database.read() as connection:
        held = (await connection.execute(select(asset_holders))).one()
    assert (held.holder, held.until) == ("run-1", None)


async def test_a_payload_of_the_version_before_is_still_read(converter: DataConverter, asset_folder: Path) -> None:
    payload, file = await stored(converter, asset_folder)
    earlier = asset_folder.parent / "payloads" / file.parent.name / file.name
    earlier.parent.mkdir(parents=True)
    file.rename(earlier)

    assert await converter.decode([payload], [str]) == [LARGE]

    earlier.write_bytes(earlier.read_bytes()[:-1])
    with pytest.raises(PayloadUnavailable, match=rf"in {asset_folder.parent}/payloads was altered"):
        await converter.decode([payload], [str])


async def test_the_file_of_another_installation_is_of_no_use(
    converter: DataConverter, payloads: PayloadStore, asset_folder: Path
) -> None:
    payload, _ = await stored(converter, asset_folder)
    with pytest.raises(ValueError, match="altered"):
        await data_converter(Keyring("k", {"k": bytes(31) + b"x"}), payloads).decode([payload], [str])


async def test_a_missing_file_is_told_with_its_folder_and_what_may_be_wrong(
    converter: DataConverter, asset_folder: Path
) -> None:
    payload, file = await stored(converter, asset_folder)
    file.unlink()
    with pytest.raises(PayloadUnavailable, match=rf"{file.name[:12]}… is not in {asset_folder}: every process .* same"):
        await converter.decode([payload], [str])


@pytest.mark.parametrize("damage", ["bit", "cut", "emptied"])
async def test_a_damaged_file_is_told_and_never_decoded(
    converter: DataConverter, asset_folder: Path, damage: str
) -> None:
    payload, file = await stored(converter, asset_folder)
    content = file.read_bytes()
    file.write_bytes({"bit": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-9], "emptied": b""}[damage])
    with pytest.raises(PayloadUnavailable, match="was altered"):
        await converter.decode([payload], [str])


@pytest.mark.parametrize("reference", ["../secret", "/etc/passwd", "", "A" * 64])
async def test_a_reference_cannot_lead_out_of_the_folder(
    payloads: PayloadStore, tmp_path: Path, reference: str
) -> None:
    (tmp_path / "secret").write_bytes(b"not yours")
    claim = StorageDriverClaim(claim_data={"sha256": reference})
    with pytest.raises(PayloadUnavailable, match="does not name a SHA-256"):
        await payloads.retrieve(StorageDriverRetrieveContext(), [claim])


async def test_a_folder_that_cannot_be_written_is_told(disk_database: Database, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    converter = data_converter(KEYS, PayloadStore(AssetStore(disk_database, blocked), tmp_path))
    with pytest.raises(PayloadUnavailable, match=f"cannot be kept: no file can be made in {blocked}"):
        await converter.encode([LARGE])

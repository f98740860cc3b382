"""Large payloads in real files, by way of the data converter that workers and clients use."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, StorageDriverClaim, StorageDriverRetrieveContext

from auth.keys import Keyring
from runtime.payload_store import THRESHOLD_BYTES, FilePayloadStore, PayloadUnavailable
from runtime.plugin import data_converter

KEYS = Keyring("k", {"k": bytes(32)})
LARGE = "jane@example.com " * (THRESHOLD_BYTES // 16)


@pytest.fixture
def converter(tmp_path: Path) -> DataConverter:
    return data_converter(KEYS, tmp_path)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def stored(converter: DataConverter, folder: Path) -> tuple[Payload, Path]:
    """A large value's reference, and the one file that it refers to."""
    (payload,) = await converter.encode([LARGE])
    (file,) = files(folder)
    return payload, file


async def test_a_large_payload_is_kept_in_a_file_and_comes_back(converter: DataConverter, tmp_path: Path) -> None:
    payload, file = await stored(converter, tmp_path)
    assert payload.ByteSize() < 1000
    assert file.stat().st_size > THRESHOLD_BYTES
    assert await converter.decode([payload], [str]) == [LARGE]


async def test_the_file_is_encrypted_and_for_its_owner_only(converter: DataConverter, tmp_path: Path) -> None:
    _, file = await stored(converter, tmp_path)
    assert b"jane" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_a_small_payload_stays_in_the_history(converter: DataConverter, tmp_path: Path) -> None:
    payloads = await converter.encode(["jane@example.com"])
    assert files(tmp_path) == []
    assert await converter.decode(payloads, [str]) == ["jane@example.com"]


async def test_the_file_of_another_installation_is_of_no_use(converter: DataConverter, tmp_path: Path) -> None:
    payload, _ = await stored(converter, tmp_path)
    with pytest.raises(ValueError, match="altered"):
        await data_converter(Keyring("k", {"k": bytes(31) + b"x"}), tmp_path).decode([payload], [str])


async def test_a_missing_file_is_told_with_its_folder_and_what_may_be_wrong(
    converter: DataConverter, tmp_path: Path
) -> None:
    payload, file = await stored(converter, tmp_path)
    file.unlink()
    with pytest.raises(PayloadUnavailable, match=rf"{file.name[:12]}… is not in {tmp_path}: every process .* same"):
        await converter.decode([payload], [str])


@pytest.mark.parametrize("damage", ["bit", "cut", "emptied"])
async def test_a_damaged_file_is_told_and_never_decoded(converter: DataConverter, tmp_path: Path, damage: str) -> None:
    payload, file = await stored(converter, tmp_path)
    content = file.read_bytes()
    file.write_bytes({"bit": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-9], "emptied": b""}[damage])
    with pytest.raises(PayloadUnavailable, match="was altered"):
        await converter.decode([payload], [str])


@pytest.mark.parametrize("reference", ["../secret", "/etc/passwd", "", "A" * 64])
async def test_a_reference_cannot_lead_out_of_the_folder(tmp_path: Path, reference: str) -> None:
    (tmp_path / "secret").write_bytes(b"not yours")
    claim = StorageDriverClaim(claim_data={"sha256": reference})
    with pytest.raises(PayloadUnavailable, match="does not name a SHA-256"):
        await FilePayloadStore(tmp_path / "payloads").retrieve(StorageDriverRetrieveContext(), [claim])


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "payloads"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(PayloadUnavailable, match=f"cannot be written to {blocked}"):
        await data_converter(KEYS, blocked).encode([LARGE])


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PayloadUnavailable, match="No space left on device"):
        await data_converter(KEYS, tmp_path).encode([LARGE])
    assert files(tmp_path) == []


async def test_writers_of_the_same_content_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    store, content = FilePayloadStore(tmp_path), b"the same" * 1000
    claims = await asyncio.gather(*(asyncio.to_thread(store._write, content) for _ in range(8)))
    assert len({claim.claim_data["sha256"] for claim in claims}) == 1
    (file,) = files(tmp_path)
    assert file.read_bytes() == content

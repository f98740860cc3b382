"""Large payloads beside the history instead of in it: content-addressed files, encrypted before they come here.

Every worker and gateway of an installation must see the same folder. Nothing is deleted here: a file is of use for as
long as Temporal keeps the run.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

DRIVER_NAME = "tieline-files"
"""Stands in histories: never rename it."""

THRESHOLD_BYTES = 128 * 1024


class PayloadUnavailable(Exception):
    """A payload beside the history cannot be read or written; the message says where and why."""


class FilePayloadStore(StorageDriver):
    """Stores each payload under the SHA-256 of its bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self) -> str:
        return DRIVER_NAME

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        return [await asyncio.to_thread(self._write, payload.SerializeToString()) for payload in payloads]

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        return [await asyncio.to_thread(self._read, claim.claim_data.get("sha256", "")) for claim in claims]

    def _write(self, content: bytes) -> StorageDriverClaim:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        try:
            if not path.exists():
                _write_whole(path, content)
        except OSError as error:
            raise PayloadUnavailable(
                f"a payload of {len(content)} bytes cannot be written to {self._folder}: {error.strerror}"
            ) from None
        return StorageDriverClaim(claim_data={"sha256": digest})

    def _read(self, digest: str) -> Payload:
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise PayloadUnavailable(
                f"payload {digest[:12]}… is not in {self._folder}: "
                "every process of the installation needs the same data folder"
            ) from None
        except OSError as error:
            raise PayloadUnavailable(
                f"payload {digest[:12]}… in {self._folder} cannot be read: {error.strerror}"
            ) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise PayloadUnavailable(f"payload {digest[:12]}… in {self._folder} was altered: restore it from a backup")
        return Payload.FromString(content)

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or not all(character in "0123456789abcdef" for character in digest):
            raise PayloadUnavailable("a payload reference does not name a SHA-256")
        return self._folder / digest[:2] / digest


def _write_whole(path: Path, content: bytes) -> None:
    """Complete under its name or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

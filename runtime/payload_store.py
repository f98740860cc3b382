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
        return [await asyncio.to_thread(self._read, claim.claim_data["sha256"]) for claim in claims]

    def _write(self, content: bytes) -> StorageDriverClaim:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(file.name, path)
        return StorageDriverClaim(claim_data={"sha256": digest})

    def _read(self, digest: str) -> Payload:
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"payload {digest[:12]}… is not in {self._folder}: is it the run's data folder?"
            ) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"payload {digest[:12]}… in {self._folder} was altered")
        return Payload.FromString(content)

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or not all(character in "0123456789abcdef" for character in digest):
            raise ValueError("a payload reference does not name a SHA-256")
        return self._folder / digest[:2] / digest

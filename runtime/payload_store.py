"""Large payloads beside the history instead of in it: encrypted before they come here, and kept with the assets.

The run that a payload belongs to holds it, so it is kept for as long as Temporal keeps the run.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)

from storage.assets import AssetStore
from storage.assets.blobs import is_digest
from storage.errors import AssetDamaged, AssetMissing, AssetStoreUnavailable

DRIVER_NAME = "tieline-files"
"""Stands in histories: never rename it."""

THRESHOLD_BYTES = 128 * 1024

EARLIER_FOLDER = "payloads"
"""In the data folder: where they lay before they were kept with the assets. Still read, no longer written."""


class PayloadUnavailable(Exception):
    """A payload beside the history cannot be read or written; the message says where and why."""


class PayloadStore(StorageDriver):
    """Stores each payload under the SHA-256 of its bytes. Small payloads never come here."""

    def __init__(self, assets: AssetStore, data_dir: Path) -> None:
        self._assets = assets
        self._earlier = data_dir / EARLIER_FOLDER

    def name(self) -> str:
        return DRIVER_NAME

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        holder = _run_of(context)
        return [await self._write(payload.SerializeToString(), holder) for payload in payloads]

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        return [await self._read(claim.claim_data.get("sha256", "")) for claim in claims]

    async def _write(self, content: bytes, holder: str | None) -> StorageDriverClaim:
        try:
            digest = await self._assets.put_payload(content, holder)
        except AssetStoreUnavailable as error:
            raise PayloadUnavailable(f"a payload of {len(content)} bytes cannot be kept: {error}") from None
        return StorageDriverClaim(claim_data={"sha256": digest})

    async def _read(self, digest: str) -> Payload:
        if not is_digest(digest):
            raise PayloadUnavailable("a payload reference does not name a SHA-256")
        try:
            content = await self._assets.read_payload(digest)
        except AssetMissing as error:
            earlier = await asyncio.to_thread(self._read_earlier, digest)
            if earlier is None:
                raise PayloadUnavailable(f"a payload cannot be read: {error}") from None
            content = earlier
        except (AssetDamaged, AssetStoreUnavailable) as error:
            raise PayloadUnavailable(f"a payload cannot be read: {error}") from None
        return Payload.FromString(content)

    def _read_earlier(self, digest: str) -> bytes | None:
        try:
            content = (self._earlier / digest[:2] / digest).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != digest:
            raise PayloadUnavailable(f"payload {digest[:12]}… in {self._earlier} was altered: restore it from a backup")
        return content


def _run_of(context: StorageDriverStoreContext) -> str | None:
    """A heartbeat's target is its activity, or nothing; the run of that is known where the activity is at work."""
    if isinstance(context.target, StorageDriverWorkflowInfo):
        return context.target.id
    return activity.info().workflow_id if activity.in_activity() else None

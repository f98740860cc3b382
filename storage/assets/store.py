"""Files by the SHA-256 of their content: put once however often they come, checked whenever they are read."""

import contextlib
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from definitions.asset import Asset
from storage.assets import rows
from storage.assets.blobs import Blobs, LocalBlobs, is_digest
from storage.assets.draft import Draft, Staging
from storage.assets.garbage import Ask, Collected, Collector
from storage.assets.rows import StoredAsset
from storage.assets.threads import in_thread
from storage.assets.together import Together
from storage.database import Database
from storage.errors import AssetDamaged, AssetMissing, AssetTooLarge

STAGING = "staging"
"""Beside the blobs, so that a file moves to its place without being copied. No blob's folder has such a name."""
RETENTION = timedelta(days=30)
PREFIX_DIGITS = 8
PAYLOAD_NAME, PAYLOAD_MEDIA_TYPE = "payload", "application/x-protobuf"


class AssetStore:
    """The assets of one installation. `folder` is this machine's: of drafts, and of blobs where no others are given."""

    def __init__(
        self, database: Database, folder: Path, blobs: Blobs | None = None, *, retention: timedelta = RETENTION
    ) -> None:
        self._database = database
        self._together = Together(database)
        self._blobs = blobs or LocalBlobs(folder)
        self._staging = Staging(folder / STAGING)
        self._retention = retention.total_seconds()

    @property
    def where(self) -> str:
        """The folder or bucket, as messages name it."""
        return self._blobs.where

    def draft(self, key: str | None = None, run: str | None = None) -> AbstractAsyncContextManager[Draft]:
        """A file to be written. With a key, what was not committed is found again by the next draft of that key on this
        machine, unless somebody keeps writing it: then that one begins another. Without a key it is deleted. `run`: its
        id, after whose end nobody will look for the key.

        Raises:
            AssetStoreUnavailable: the folder cannot be used.
        """
        return self._staging.draft(key, self._keep, run)

    async def put(
        self,
        chunks: AsyncIterable[bytes],
        *,
        name: str,
        media_type: str,
        holder: str,
        limit: int | None = None,
        sha256: str | None = None,
        size: int | None = None,
    ) -> Asset:
        """Keep what comes, in constant memory; `sha256` and `size` are what is expected of it.

        Raises:
            AssetTooLarge: it has more than `limit` bytes.
            AssetDamaged: it is not what was expected.
            AssetStoreUnavailable: no room, or no way there.
            ValueError: the name or media type cannot be one.
        """
        Asset(sha256="0" * 64, size=0, name=name, media_type=media_type)  # before any byte is taken
        async with self.draft() as draft:
            async for chunk in chunks:
                if limit is not None and draft.size + len(chunk) > limit:
                    raise AssetTooLarge(f"the file has more than {limit} bytes, which is the most that is taken")
                await draft.append(chunk)
            if size is not None and draft.size != size:
                raise AssetDamaged(f"the file has {draft.size} bytes where {size} were announced: send it again")
            if sha256 is not None and await draft.sha256() != sha256.lower():
                raise AssetDamaged("the file has another SHA-256 than was announced: send it again")
            return await draft.commit(name=name, media_type=media_type, holder=holder)

    async def put_payload(self, content: bytes, holder: str | None) -> str:
        """Keep a payload of a history for as long as Temporal knows the run; returns its SHA-256."""
        async with self._staging.draft(None, self._keep_payload) as draft:
            await draft.append(content)
            asset = await draft.commit(name=PAYLOAD_NAME, media_type=PAYLOAD_MEDIA_TYPE, holder=holder or rows.USER)
            return asset.sha256

    async def read(self, asset: Asset | str, start: int = 0) -> AsyncIterator[bytes]:
        """From `start` to the end. All of it is checked, also what stands before `start`; whoever gets the last bytes
        has got the right ones. Of an `Asset` the size is believed, so the database is not asked.

        Raises:
            AssetMissing, AssetDamaged, AssetStoreUnavailable
        """
        known = asset if isinstance(asset, Asset) else (await self.info(asset)).asset()
        digest, seen, held = hashlib.sha256(), 0, b""
        async for chunk in self._blobs.read(known.sha256):
            await in_thread(digest.update, chunk)
            if seen + len(chunk) > known.size:
                seen += len(chunk)
                break
            if held:
                yield held
            held = chunk[max(0, start - seen) :]
            seen += len(chunk)
        if seen != known.size:
            told = f"has {'more than ' * (seen > known.size)}{min(seen, known.size)} bytes where {known.size} belong"
            raise self._damaged(known.sha256, told)
        if digest.hexdigest() != known.sha256:
            raise self._damaged(known.sha256, "was altered")
        if held:
            yield held

    async def read_payload(self, sha256: str) -> bytes:
        """All of it, checked; the database is not asked. Raises AssetMissing, AssetDamaged, AssetStoreUnavailable."""
        content = b"".join([chunk async for chunk in self._blobs.read(sha256)])
        if hashlib.sha256(content).hexdigest() != sha256:
            raise self._damaged(sha256, "was altered")
        return content

    async def read_range(self, sha256: str, start: int, length: int) -> bytes:
        """Bytes as they lie there, not checked. Raises AssetMissing, AssetStoreUnavailable."""
        return b"".join([chunk async for chunk in self.stream_range(sha256, start, length)])

    def stream_range(self, sha256: str, start: int, length: int) -> AsyncIterator[bytes]:
        """The same, in pieces."""
        return self._blobs.read(sha256, start, length)

    async def info(self, sha256: str) -> StoredAsset:
        """Raises AssetMissing."""
        async with self._database.read() as connection:
            return await rows.find(connection, sha256)

    async def resolve(self, prefix: str) -> str:
        """The one asset whose SHA-256 begins so. Raises AssetMissing."""
        prefix = prefix.lower()
        if not is_digest(prefix.ljust(64, "0")):
            raise AssetMissing(f"{prefix!r} names no asset: a SHA-256 is 64 hexadecimal digits (0-9, a-f)")
        if len(prefix) < PREFIX_DIGITS:
            raise AssetMissing(f"{prefix!r} names no asset: give {PREFIX_DIGITS} digits of its SHA-256 at least")
        async with self._database.read() as connection:
            found = await rows.beginning_with(connection, prefix, 2)
        if not found:
            raise rows.unknown(prefix)
        if len(found) > 1:
            raise AssetMissing(f"{prefix} is the beginning of several assets: give more digits")
        return found[0]

    async def list(self, *, limit: int = 50, after: tuple[float, str] | None = None) -> Sequence[StoredAsset]:
        """Files, the newest first; `after`: created_at and sha256 of the last one of the page before."""
        async with self._database.read() as connection:
            return await rows.page(connection, limit, after)

    async def hold(self, sha256: str, holder: str) -> None:
        """Have an asset kept: for the retention from now on, and as long as the run is under way. `holder` is a run's
        id, or `user`. Raises AssetMissing."""
        async with self._database.write() as connection:
            await rows.hold(connection, sha256, holder, self._retention)

    async def hold_all(self, wanted: Collection[Asset], holder: str) -> None:
        """The same for several at once, or for none. Raises AssetMissing, also where one has another size."""
        sizes = {(each.sha256, each.size) for each in wanted}
        async with self._database.write() as connection:
            for sha256, size in sorted(sizes):  # in one order: two that hold the same never wait for each other
                there = await rows.hold(connection, sha256, holder, self._retention)
                if there != size:
                    raise AssetMissing(f"asset {sha256[:12]}… has {there} bytes, where its reference says {size}")

    async def release(self, sha256: str, holder: str) -> None:
        """Need it no more; it is collected when nobody else does."""
        async with self._database.write() as connection:
            await rows.release(connection, sha256, holder)

    async def check(self) -> None:
        """Look whether drafts can be written, and blobs be read. Raises AssetStoreUnavailable."""
        async with self.draft() as draft:
            await draft.append(b"x")
        async with contextlib.aclosing(self._blobs.every()) as blobs:
            async for _ in blobs:
                break

    async def collect(self, ask: Ask, *, delete: bool) -> Collected:
        """Find what nothing needs any more; `delete` it. `ask` tells what became of runs."""
        return await Collector(self._database, self._blobs, self._staging, ask).collect(delete=delete)

    async def _keep(self, file: Path, asset: Asset, holder: str) -> None:
        await self._put(file, asset, holder, self._retention)

    async def _keep_payload(self, file: Path, asset: Asset, holder: str) -> None:
        await self._put(file, asset, holder, self._retention if holder == rows.USER else None, payload=True)

    async def _put(
        self, file: Path, asset: Asset, holder: str, seconds: float | None, *, payload: bool = False
    ) -> None:
        """The reference first: from then on nobody collects it, so no transaction is open while bytes travel."""

        async def announce(connection: AsyncConnection) -> None:
            await rows.announce(connection, asset, holder, seconds, payload=payload)

        await self._together.write(asset.sha256, announce)
        await self._blobs.place(file, asset.sha256, asset.size)
        await self._together.write(asset.sha256, lambda connection: rows.confirm(connection, asset.sha256))

    def _damaged(self, sha256: str, how: str) -> AssetDamaged:
        return AssetDamaged(
            f"the content of asset {sha256[:12]}… in {self.where} {how}: restore it from a backup, or put it again"
        )

"""Blobs in a bucket of S3, or of a server that speaks its protocol: `<first two digits>/<SHA-256>` below a prefix.

What the server or the library said is never shown as it came: only codes that are known to be harmless.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.assets.blobs import CHUNK_BYTES, MARK_TEXT, MARKS, Blob, is_digest, missing
from storage.assets.threads import in_thread
from storage.errors import AssetMissing, AssetStoreUnavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential, S3Store

PART_BYTES, MOST_PARTS, PARTS_AT_ONCE = 6 * 1024 * 1024, 9_000, 3
"""Of an upload; S3 takes 10,000 parts. So they take some 50 MiB of memory, until a file has more than 50 GiB."""
DELETE_SECONDS = 8.0
"""A row is locked meanwhile, for which others wait ten seconds."""
_CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=60),
    "timeout": timedelta(days=1),  # of a whole file: the one above notices that nothing comes
    # The library would use the proxy of HTTP_PROXY and the like. One that is excluded everywhere keeps it from that.
    "proxy_url": "http://127.0.0.1:9",
    "proxy_excludes": "0.0.0.0/0,::/0,*",
}
_RETRIES: Any = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=3), "base": 2},
}
_NO_BUCKET = "there is no such bucket; make it, or correct TIELINE_ASSETS_URL"
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_STATUS = re.compile(r"status code: ([0-9]{3})")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the blobs are, and with which key. Without one the machine's own is used: `AWS_…` variables, or a role."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    key: "tuple[str, str] | None" = None

    def __repr__(self) -> str:
        return f"Bucket({self.where})"

    @property
    def where(self) -> str:
        """As messages name it."""
        at = f" at {self.endpoint}" if self.endpoint else ""
        return f"s3://{self.name}{'/' if self.prefix else ''}{self.prefix}{at}"


class S3Blobs:
    """A bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.where = bucket.where
        self._store = _store(bucket)

    async def place(self, file: Path, sha256: str, size: int) -> None:
        """Seen under its name when all of it is there. What a killed process sent is invisible, but takes room in the
        bucket until its lifecycle rule for incomplete multipart uploads removes it."""
        import obstore

        part = max(PART_BYTES, -(-size // MOST_PARTS))
        with self._unavailable("cannot be written"):
            await obstore.put_async(
                self._store, self._key(sha256), file, chunk_size=part, max_concurrency=PARTS_AT_ONCE
            )
        await in_thread(file.unlink, missing_ok=True)

    async def read(self, sha256: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length == 0:
            return
        with self._unavailable("cannot be read", sha256):
            skip, stream = await self._stream(sha256, start, length)
            left = length
            async for chunk in stream:
                piece, skip = bytes(chunk[skip:]), max(0, skip - len(chunk))
                piece = piece if left is None else piece[:left]
                left = left if left is None else left - len(piece)
                if piece:
                    yield piece
                if left == 0:
                    return

    async def delete(self, sha256: str) -> None:
        import obstore

        with self._unavailable("cannot be changed"):
            async with asyncio.timeout(DELETE_SECONDS):
                await obstore.delete_async(self._store, self._key(sha256))

    async def every(self) -> AsyncGenerator[Blob]:
        import obstore

        with self._unavailable("cannot be listed"):
            async for page in obstore.list(self._store, chunk_size=1000):
                for found in page:
                    folder, _, name = found["path"].rpartition("/")
                    if is_digest(name) and folder == name[:2]:
                        yield Blob(name, found["size"], found["last_modified"].timestamp())

    async def marks(self) -> set[str]:
        import obstore

        with self._unavailable("cannot be listed"):
            pages = obstore.list(self._store, prefix=MARKS, chunk_size=1000)
            return {found["path"].rpartition("/")[2] async for page in pages for found in page}

    async def mark(self, name: str) -> None:
        import obstore

        with self._unavailable("cannot be written"):
            await obstore.put_async(self._store, f"{MARKS}/{name}", MARK_TEXT)

    async def unmark(self, name: str) -> None:
        import obstore

        with self._unavailable("cannot be changed"):
            await obstore.delete_async(self._store, f"{MARKS}/{name}")

    async def _stream(self, sha256: str, start: int, length: int | None) -> tuple[int, Any]:
        """Bytes to be skipped, and what comes. Some servers answer a range with status 200 (`rclone serve s3` does),
        which the library takes for a fault: of them the whole is read."""
        import obstore
        from obstore.exceptions import GenericError

        key = self._key(sha256)
        if start == 0 and length is None:
            answer = await obstore.get_async(self._store, key)
            return 0, answer.stream(min_chunk_size=CHUNK_BYTES)
        wanted: Any = {"offset": start} if length is None else (start, start + length)
        try:
            answer = await obstore.get_async(self._store, key, options={"range": wanted})
        except GenericError as error:
            if "NotPartial" not in str(error):
                raise
            answer = await obstore.get_async(self._store, key)
            return start, answer.stream(min_chunk_size=CHUNK_BYTES)
        return 0, answer.stream(min_chunk_size=CHUNK_BYTES)

    @contextlib.contextmanager
    def _unavailable(self, what: str, sha256: str = "") -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if sha256 and "NoSuchBucket" not in str(error):
                raise missing(sha256, self.where) from None
            raise AssetStoreUnavailable(f"{self.where} {what}: {_NO_BUCKET}") from None
        except TimeoutError:
            raise AssetStoreUnavailable(f"{self.where} {what}: it did not answer in time; try again") from None
        except (BaseError, OSError) as error:
            raise AssetStoreUnavailable(f"{self.where} {what}: {_reason(error)}") from None

    def _key(self, sha256: str) -> str:
        if not is_digest(sha256):
            raise AssetMissing("an asset is named by a SHA-256: 64 hexadecimal digits in lower case")
        return f"{sha256[:2]}/{sha256}"


def _store(bucket: Bucket) -> "S3Store":
    """Configured by what stands in `bucket`, and where it says nothing, by the machine's `AWS_…` variables."""
    from obstore.store import S3Store

    config: S3Config = {"virtual_hosted_style_request": False}
    client = _CLIENT.copy()
    if bucket.endpoint is not None:
        # The second one is of the environment, and would go first.
        config |= {"endpoint": bucket.endpoint, "aws_endpoint_url_s3": bucket.endpoint}
        client["allow_http"] = bucket.endpoint.startswith("http://")
    if bucket.region is not None:
        config["region"] = bucket.region
    provider = None
    if bucket.key is not None:
        access_key_id, secret = bucket.key

        def provider() -> "S3Credential":
            """Not part of the configuration, which the library shows, and would mix with a token of the environment."""
            return {"access_key_id": access_key_id, "secret_access_key": secret, "token": None, "expires_at": None}

    return S3Store(
        bucket.name,
        prefix=bucket.prefix or None,
        config=config,
        client_options=client,
        retry_config=_RETRIES,
        credential_provider=provider,
    )


def _reason(error: Exception) -> str:
    text = str(error)
    code, found = _CODE.search(text), _STATUS.search(text)
    status = found[1] if found else ""
    told = code[1] if code else status
    if "NoSuchBucket" in text or status == "404":
        return _NO_BUCKET
    if status in ("401", "403"):
        return (
            f"it refused us ({told}); correct TIELINE_ASSETS_ACCESS_KEY_ID and "
            "TIELINE_ASSETS_SECRET_ACCESS_KEY, and see what that key may do"
        )
    if told:
        return f"it answered {told}; see its log"
    return "it does not answer; see that it runs, and that TIELINE_ASSETS_ENDPOINT is right"

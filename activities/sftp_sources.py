"""Where the bytes of an upload come from: a file that is kept here, or the answer of an HTTP API."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from activities.sftp_judge import Refused
from activities.sftp_places import checked_name
from activities.sftp_task import Notes, Task
from activities.streams import Assets, HttpBytes, HttpStreams
from definitions.asset import Asset
from definitions.run import SftpCall
from definitions.sftp import AssetSource, HttpSource, SftpUpload, Source, Verify
from net.content import close_source


@dataclass(frozen=True, slots=True)
class Opened:
    """Bytes from `start` on; `size` of the whole. `validator` is the same for as long as the source is unchanged."""

    chunks: AsyncIterator[bytes]
    start: int
    size: int | None
    validator: str | None


class UploadSource(Protocol):
    """One file to be sent. `size` and `sha256` where they are known before it is read."""

    name: str
    size: int | None
    sha256: str | None

    def open(self, start: int, validator: str | None) -> AbstractAsyncContextManager[Opened]:
        """Begins at `start` if the source is what it was when it had this validator, else at 0."""


def source_of(task: Task, source: Source) -> UploadSource:
    """Raises Refused: nothing says what the file is called."""
    if isinstance(source, AssetSource):
        return KeptFile(task.assets, source.asset)
    if task.http is None:
        raise Refused("unsupported", "this process reads no HTTP sources")
    return HttpAnswer(task.http, task.call, source, task.notes)


class KeptFile:
    """An asset, which cannot change."""

    def __init__(self, assets: Assets, asset: Asset) -> None:
        self._assets = assets
        self._asset = asset
        self.name = asset.name
        self.size: int | None = asset.size
        self.sha256: str | None = asset.sha256

    @contextlib.asynccontextmanager
    async def open(self, start: int, validator: str | None) -> AsyncIterator[Opened]:
        """Raises AssetMissing, AssetDamaged, AssetStoreUnavailable, also while it is read."""
        chunks = self._assets.read(self._asset, start)
        try:
            yield Opened(chunks, start, self.size, self.sha256)
        finally:
            await close_source(chunks)


class HttpAnswer:
    """What a GET brings, streamed on as it comes."""

    def __init__(self, http: HttpStreams, call: SftpCall, source: HttpSource, notes: Notes) -> None:
        self._http = http
        self._notes = notes
        self._takes_open_ends = isinstance(call.operation, SftpUpload) and call.operation.verify is Verify.SIZE
        self._ref = call.credential
        self._stall = call.operation.stall_after.total_seconds()
        self._overall = call.operation.timeout.total_seconds()
        self._source = source
        self.name = _name(source)
        self.size: int | None = None
        self.sha256: str | None = None

    @contextlib.asynccontextmanager
    async def open(self, start: int, validator: str | None) -> AsyncIterator[Opened]:
        """Raises SourceFailed, also while it is read."""
        async with (
            self._http.open(
                self._ref, self._source, start, validator, stall=self._stall, overall=self._overall
            ) as answer,
            contextlib.aclosing(self._whole(answer)) as chunks,
        ):
            yield Opened(chunks, answer.start, answer.size, answer.validator)

    async def _whole(self, answer: HttpBytes) -> AsyncGenerator[bytes]:
        """An answer whose end was not marked looks the same when the line broke on its way: nobody can say it is whole,
        and what is sent would be taken for it."""
        async for chunk in answer.chunks:
            yield chunk
        if answer.delimited():
            return
        text = f"only the end of the connection marked the end of {self._source.path}, which may have been cut"
        if not self._takes_open_ends:
            raise Refused("open_ended", text)
        self._notes.add(text)


def _name(source: HttpSource) -> str:
    if not source.called:
        raise Refused("invalid_request", f"the path {source.path!r} ends with no name: give the source a name")
    return checked_name(source.called)

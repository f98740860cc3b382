"""What activities need of each other to move bytes that no history carries: files kept here, files on SFTP servers, and
answers of HTTP APIs. Protocols and plain values; `runtime/assembly.py` brings the implementations together.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from definitions.asset import Asset
from definitions.refs import CredentialRef
from definitions.run import Failure
from definitions.sftp import HttpSource

OpenBytes = Callable[[], AsyncIterator[bytes]]
"""Begins anew at the first byte with every call: a redirect, or a second send, opens it again."""


class SourceFailed(Exception):
    """A source of bytes broke, or could not be opened; the failure says what that means for whoever reads from it.

    Its verdict is about the source alone: AGAIN where another attempt may read it, FINAL where none can, RECONNECT
    where the account of `ref` is dead. Its message and action are safe to store.
    """

    def __init__(self, failure: Failure, ref: CredentialRef | None = None) -> None:
        super().__init__(failure.category)
        self.failure = failure
        self.ref = ref


@dataclass(frozen=True, slots=True, repr=False)
class RemoteBytes:
    """A file on another system, open for reading. `size` in bytes, None when it is not known."""

    open: OpenBytes
    size: int | None


class RemoteFiles(Protocol):
    """Files on SFTP servers, as bodies of HTTP requests."""

    def open(
        self, ref: CredentialRef, path: str, *, stall: float = 60.0, overall: float = 86400.0, attempt: int = 1
    ) -> AbstractAsyncContextManager[RemoteBytes]:
        """`path` is a file of the account's, relative to its root. Raises SourceFailed, also from the iterators.

        The limits, in seconds, are those of opening it: while it is read, whoever sends it on keeps the time. What a
        failure means may depend on which attempt it is.
        """


@dataclass(frozen=True, slots=True, repr=False)
class HttpBytes:
    """An answer's body, from byte `start` on. `size`: of the whole, None when it is not known.

    `validator` (a strong ETag, or else Last-Modified with its length) is the same for as long as the source is
    unchanged; None: whether it changes cannot be known. `start` is 0 where the source did not resume. `delimited` is
    asked at the end: False when only the end of the connection was the end of the body, which may have been cut.
    """

    chunks: AsyncIterator[bytes]
    start: int
    size: int | None
    validator: str | None
    media_type: str
    delimited: Callable[[], bool] = lambda: True


class HttpStreams(Protocol):
    """Answers of HTTP APIs, as sources of uploads."""

    def open(
        self,
        ref: CredentialRef,
        source: HttpSource,
        start: int = 0,
        validator: str | None = None,
        *,
        stall: float = 60.0,
        overall: float = 86400.0,
    ) -> AbstractAsyncContextManager[HttpBytes]:
        """GET it with the adapter's credential; `ref` says profile and subject, the source may name another adapter.

        With `start` > 0 and the `validator` of an earlier attempt, the rest is asked for (`Range`, `If-Range`). What
        comes begins at `HttpBytes.start`: 0 when the source has changed or does not resume, so that the reader begins
        anew. Raises SourceFailed, also from `chunks`.
        """


class Draft(Protocol):
    """A file that is being written: `storage.assets.draft.Draft`."""

    @property
    def size(self) -> int: ...

    async def check_room(self, more: int) -> None: ...

    async def append(self, data: bytes) -> None: ...

    async def rewind(self, size: int) -> None: ...

    async def read(self, start: int, length: int) -> bytes: ...

    async def sha256(self) -> str: ...

    async def commit(self, *, name: str, media_type: str, holder: str) -> Asset: ...

    async def discard(self) -> None: ...


class Assets(Protocol):
    """The files that are kept here: `storage.assets.store.AssetStore`. All of it raises StorageError."""

    def draft(self, key: str | None = None, run: str | None = None) -> AbstractAsyncContextManager[Draft]: ...

    def read(self, asset: Asset | str, start: int = 0) -> AsyncIterator[bytes]: ...

    async def hold(self, sha256: str, holder: str) -> None: ...

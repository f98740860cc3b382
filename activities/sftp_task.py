"""What one attempt of an SFTP operation works with."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from activities.progress import Progress
from activities.sftp_beats import Beats
from activities.sftp_places import Looking, Places
from activities.streams import Assets, HttpStreams
from definitions.integration import SftpServerModes
from definitions.plural import plural
from definitions.run import SftpCall
from definitions.sftp import Entry, FailedFile, Transferred
from net.sftp_server import RemoteFile, SftpServer

T = TypeVar("T")

AT_ONCE = 16
"""Small files that are under way at once, on the one connection."""
SMALL = 1024 * 1024
"""Bytes up to which a file is small: larger ones fill the connection by themselves, and go one by one."""
MAX_NOTES = 20
CLEAN_UP_WITHIN = 10.0
"""Seconds in which what is left behind is removed when an operation has failed for good."""


class Session(Looking, Protocol):
    """A login at a server: `net.sftp.SftpSession`. All of it raises SftpError; generators are closed by their users."""

    username: str
    rename_keeps: bool

    def list(self, path: str) -> AsyncGenerator[RemoteFile, None]: ...

    async def rmdir(self, path: str) -> None: ...

    async def remove(self, path: str) -> None: ...

    async def rename(self, source: str, target: str, *, replace: bool) -> None: ...

    async def copy(self, source: str, target: str, *, exclusive: bool = False) -> bool: ...

    def read(self, path: str, start: int = 0, *, length: int | None = None) -> AsyncGenerator[bytes, None]: ...

    async def read_range(self, path: str, start: int, length: int) -> bytes: ...

    async def write(
        self,
        path: str,
        chunks: AsyncIterator[bytes],
        *,
        start: int = 0,
        exclusive: bool = False,
        keep: bool = False,
        on_progress: Callable[[int], None] | None = None,
        at_begin: Callable[[], Awaitable[None]] | None = None,
        at_end: Callable[[int], Awaitable[None]] | None = None,
    ) -> int: ...

    async def set_attributes(
        self, path: str, *, permissions: int | None = None, modified: float | None = None
    ) -> None: ...

    def watch(self, stall: float, overall: float) -> AbstractAsyncContextManager[object]: ...


class Connections(Protocol):
    """Where sessions come from: `net.ssh.SshConnections`."""

    def session(self, server: SftpServer) -> AbstractAsyncContextManager[Session]:
        """Raises SftpError."""


@dataclass(slots=True)
class Notes:
    """What a reader of the result should know; a few of it, however many files there were."""

    lines: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, note: str) -> None:
        if note in self.lines:
            return
        if len(self.lines) < MAX_NOTES:
            self.lines.append(note)
        else:
            self.more += 1

    def told(self) -> tuple[str, ...]:
        return (*self.lines, f"and {self.more} more like these") if self.more else tuple(self.lines)


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt."""

    call: SftpCall
    session: Session
    places: Places
    modes: SftpServerModes
    beats: Beats
    assets: Assets
    http: HttpStreams | None
    now: Callable[[], datetime]
    holder: str
    """The run, which keeps the assets that it fetches."""
    notes: Notes = field(default_factory=Notes)
    leftovers: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Unfinished files on the server, which are removed when the operation has failed for good."""
    unsure: set[str] = field(default_factory=set)
    """What this attempt makes, but has not begun to write: if it is given up now, nobody may look for it."""

    @property
    def progress(self) -> Progress:
        """Of this attempt and of those before."""
        return self.beats.progress

    @property
    def attempts_before(self) -> tuple[str, ...]:
        """Those that may have written files, the newest first."""
        return tuple(each for each in reversed(self.progress.begun) if each != self.beats.attempt)

    def key(self, index: int) -> str:
        """The same for every attempt at the so many-th file."""
        return f"{self.call.idempotency_key}/{index}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did, without what is the same for all of them."""

    message: str
    paths: tuple[str, ...] = ()
    bytes: int = 0
    sha256: str | None = None
    resumed_from: int = 0
    files: tuple[Transferred, ...] = ()
    failed: tuple[FailedFile, ...] = ()
    entries: tuple[Entry, ...] | None = None
    next_cursor: str | None = None
    exists: bool | None = None


def outcome_of_files(verb: str, files: tuple[Transferred, ...], failed: tuple[FailedFile, ...] = ()) -> Outcome:
    """Of an operation on several files."""
    total = sum(each.bytes for each in files)
    alone = files[0] if len(files) == 1 else None
    return Outcome(
        message=_told(verb, files, total) + (f"; {len(failed)} failed" if failed else ""),
        paths=tuple(each.path for each in files),
        bytes=total,
        sha256=alone.sha256 if alone else None,
        resumed_from=alone.resumed_from if alone else 0,
        files=files,
        failed=failed,
    )


def _told(verb: str, files: tuple[Transferred, ...], total: int) -> str:
    if not files:
        return "no file fits"
    if all(each.skipped for each in files):
        what = f"{files[0].path} was" if len(files) == 1 else f"{len(files)} files were"
        return f"{what} there already, with the same content"
    what = files[0].path if len(files) == 1 else f"{len(files)} files"
    return f"{verb} {what}: {plural(total, 'byte')}"


async def in_turn(items: Iterable[tuple[T, bool]], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on all items, small ones (True) several at once, others alone; the first error ends the rest."""
    free = asyncio.Semaphore(AT_ONCE)
    under_way: set[asyncio.Task[None]] = set()

    async def one(item: T) -> None:
        try:
            await work(item)
        finally:
            free.release()

    try:
        for item, small in items:
            if not small:
                await _all(under_way)
                await work(item)
                continue
            await free.acquire()
            _raise_first(under_way)
            under_way.add(asyncio.create_task(one(item)))
        await _all(under_way)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _all(under_way: set[asyncio.Task[None]]) -> None:
    if under_way:
        await asyncio.wait(under_way, return_when=asyncio.FIRST_EXCEPTION)
        _raise_first(under_way)


def _raise_first(under_way: set[asyncio.Task[None]]) -> None:
    for task in [task for task in under_way if task.done()]:
        under_way.discard(task)
        task.result()

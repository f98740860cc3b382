"""Files being written, in a local staging folder: found again under their key, whoever was killed meanwhile."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from definitions.asset import Asset
from storage.assets.blobs import files_in, make_private, unavailable
from storage.assets.threads import in_thread, taken_from_thread
from storage.errors import AssetStoreFull, AssetStoreUnavailable

SLICE_BYTES = 1024 * 1024
RESERVE_BYTES = 64 * 1024 * 1024
"""Room that a file which is known to be large leaves: the database may be on the same disk."""
LOOK_BYTES = 16 * 1024 * 1024
"""After so many the room is looked at again: others write, too, and not everything says how large it is."""
WAIT_SECONDS = 10.0
"""For another process that writes the same draft: an attempt that was given up ends, or is killed, within that."""
AT_ONCE = 8
"""Drafts of one key: an attempt whose process stands still keeps its own, and the next one goes on beside it."""
KEYED_SECONDS, NAMELESS_SECONDS = 7 * 86400.0, 3600.0
"""How long a draft that nobody writes is left for a next attempt; one without a key has none."""
_KEYED, _NAMELESS = "key-", "new-"
_RUN = re.compile(r"run-[0-9a-f]{32}")


class Draft:
    """One file being written, and locked: nobody else has it. It grows at its end only, or is cut there.

    Everything raises AssetStoreUnavailable when the disk refuses it; what was appended before is safe then.
    """

    def __init__(self, path: Path, descriptor: int, keep: "Keep") -> None:
        self._path = path
        self._descriptor = descriptor
        self._keep = keep
        self._size = os.fstat(descriptor).st_size
        self._digest = hashlib.sha256()
        self._digested = 0
        self._unlooked = 0
        self._alone = asyncio.Lock()
        self._over = False

    @property
    def size(self) -> int:
        """Bytes that are safely appended."""
        return self._size

    async def check_room(self, more: int) -> None:
        """Look, before the first of so many bytes, whether the disk has room for them and what others need meanwhile.

        Raises AssetStoreFull.
        """
        await self._in_thread(self._check_room, more)

    async def append(self, data: bytes) -> None:
        """Returns when the operating system has it; a crash of the machine alone can lose it before `commit`.

        Raises AssetStoreFull: a large file leaves no room for others.
        """
        await self._in_thread(self._append, data)

    async def rewind(self, size: int) -> None:
        """Forget what stands behind `size`."""
        if not 0 <= size <= self._size:
            raise ValueError(f"the draft has {self._size} bytes: it cannot be cut at {size}")
        await self._in_thread(self._cut, size)

    async def read(self, start: int, length: int) -> bytes:
        """Less at the end."""
        data: bytes = await self._in_thread(os.pread, self._descriptor, length, start)
        return data

    async def sha256(self) -> str:
        """Of all of it, hexadecimal. What was there before, or was cut, is read once for that."""
        while self._digested < self._size:
            await self._in_thread(self._digest_slice)
        return self._digest.hexdigest()

    async def commit(self, *, name: str, media_type: str, holder: str) -> Asset:
        """Make it an asset with a first reference; it is durable when this returns, and the draft is over.

        Raises:
            ValueError: the name or media type cannot be one.
        """
        asset = Asset(sha256=await self.sha256(), size=self._size, name=name, media_type=media_type)
        await self._in_thread(os.fsync, self._descriptor)
        await self._keep(self._path, asset, holder)
        self._over = True
        return asset

    async def discard(self) -> None:
        """Delete it, with its key."""
        await self._in_thread(self._path.unlink, missing_ok=True)
        self._over = True

    async def _in_thread(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        async with self._alone:
            if self._over:
                raise ValueError("the draft is over: it was committed or discarded")
            with unavailable(f"a file in {self._path.parent} cannot be written"):
                return await in_thread(work, *args, **kwargs)

    def _check_room(self, more: int) -> None:
        free = _free(self._descriptor)
        if more > free - RESERVE_BYTES:
            enough = free >= RESERVE_BYTES
            kept = f"of which {RESERVE_BYTES} are kept" if enough else f"less than the {RESERVE_BYTES} kept"
            raise AssetStoreFull(
                f"{more} bytes do not fit into {self._path.parent}: {max(free, 0)} are free there, {kept} "
                "for other work; make room on that disk"
            )
        self._unlooked = 0

    def _append(self, data: bytes) -> None:
        self._unlooked += len(data)
        if self._unlooked >= LOOK_BYTES:
            self._check_room(len(data))
        view, end = memoryview(data), self._size
        try:
            while view:
                written = os.pwrite(self._descriptor, view, end)
                view, end = view[written:], end + written
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        if self._digested == self._size:
            self._digest.update(data)
            self._digested = end
        self._size = end

    def _cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size
        if size < self._digested:
            self._digest, self._digested = hashlib.sha256(), 0

    def _digest_slice(self) -> None:
        data = os.pread(self._descriptor, min(SLICE_BYTES, self._size - self._digested), self._digested)
        if not data:
            raise OSError(0, "it was cut by somebody else")
        self._digest.update(data)
        self._digested += len(data)


Keep = Callable[[Path, Asset, str], Coroutine[Any, Any, None]]
"""What becomes of a finished file: `(file, asset, holder)`."""


class Staging:
    """The folder of all drafts of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.asynccontextmanager
    async def draft(self, key: str | None, keep: Keep, run: str | None = None) -> AsyncIterator[Draft]:
        """The longest one of this key that nobody writes. Raises AssetStoreUnavailable."""
        path, descriptor = await self._opened([self._folder / name for name in _names(key, run)])
        try:
            yield Draft(path, descriptor, keep)
        finally:
            _leave(path, descriptor)

    async def _opened(self, paths: Sequence[Path]) -> tuple[Path, int]:
        deadline = time.monotonic() + WAIT_SECONDS
        with unavailable(f"no file can be made in {self._folder}"):
            await in_thread(make_private, self._folder)
            while (opened := await _taken(paths, beside=False)) is None:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.1)
            opened = opened or await _taken(paths, beside=True)
        if opened is None:
            raise AssetStoreUnavailable(
                f"{len(paths)} processes have begun the same file in {self._folder}, and stand still: look for workers "
                "that do nothing any more, and end them"
            )
        return opened

    async def runs(self) -> set[str]:
        """Those whose drafts there are."""
        with unavailable(f"{self._folder} cannot be read"):
            return await in_thread(lambda: {run for path in files_in(self._folder) if (run := _run_of(path))})

    async def abandoned(self, over: Collection[str], *, delete: bool) -> "list[Abandoned]":
        """Drafts that nobody writes, and nobody will find in time, or that are of one of these runs."""
        with unavailable(f"{self._folder} cannot be read"):
            return await in_thread(lambda: list(_abandoned(self._folder, over, delete=delete)))


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A draft that nobody will go on with."""

    name: str
    size: int
    why: str


def _names(key: str | None, run: str | None) -> list[str]:
    """Keys are hashed: they come from outside and never become part of a path. Of runs it is our own ids alone."""
    if key is None:
        return [_NAMELESS + secrets.token_hex(16)]
    name = _KEYED + hashlib.sha256(key.encode()).hexdigest()
    of_run = f".{run}" if run is not None and _RUN.fullmatch(run) else ""
    return [f"{name}{f'-{number}' if number else ''}{of_run}" for number in range(AT_ONCE)]


def _run_of(path: Path) -> str | None:
    run = path.name.partition(".")[2]
    return run if path.name.startswith(_KEYED) and _RUN.fullmatch(run) else None


async def _taken(paths: Sequence[Path], *, beside: bool) -> tuple[Path, int] | None:
    def give_back(opened: tuple[Path, int] | None) -> None:
        if opened is not None:
            _leave(*opened)

    return await taken_from_thread(lambda: _try_open(paths, beside=beside), give_back)


def _leave(path: Path, descriptor: int) -> None:
    """What has no key is found by nobody any more."""
    try:
        if path.name.startswith(_NAMELESS):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _try_open(paths: Sequence[Path], *, beside: bool) -> tuple[Path, int] | None:
    """One of these files, with its lock; None while others have those that there are. `beside`: make one more then."""
    there = sorted(filter(os.path.lexists, paths), key=_length, reverse=True)
    if beside or not there:
        there += [path for path in paths if path not in there][:1]
    for path in there:
        if (descriptor := _try_lock(path)) is not None:
            return path, descriptor
    return None


def _length(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _try_lock(path: Path) -> int | None:
    """The file, made where it is missing, and locked; None while somebody else has it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
        try:
            if not _lock(descriptor):
                return None
            if _is_at(path, descriptor):
                ours, descriptor = descriptor, -1
                return ours
        finally:  # else it was committed or deleted by whoever had the lock before
            if descriptor >= 0:
                os.close(descriptor)


def _free(descriptor: int) -> int:
    disk = os.fstatvfs(descriptor)
    return disk.f_bavail * disk.f_frsize


def _lock(descriptor: int) -> bool:
    """The kernel frees it when the process ends, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    ours = os.fstat(descriptor)
    if not stat.S_ISREG(ours.st_mode):
        raise OSError(0, f"{path.name} is no ordinary file")
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _abandoned(folder: Path, over: Collection[str], *, delete: bool) -> Iterator[Abandoned]:
    for path in files_in(folder):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # gone meanwhile, or no draft
            continue
        try:
            found = os.fstat(descriptor)
            limit = KEYED_SECONDS if path.name.startswith(_KEYED) else NAMELESS_SECONDS
            ended = _run_of(path) in over
            if (
                (time.time() - found.st_mtime < limit and not ended)
                or not _lock(descriptor)
                or not _is_at(path, descriptor)
            ):
                continue
            if delete:
                path.unlink()
            yield Abandoned(path.name, found.st_size, "its run has ended" if ended else "nobody goes on with it")
        finally:
            os.close(descriptor)

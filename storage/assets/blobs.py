"""Where the bytes of assets lie: each blob under the SHA-256 of its content, complete or not at all."""

import contextlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.assets.threads import in_thread, taken_from_thread
from storage.errors import AssetMissing, AssetStoreUnavailable

CHUNK_BYTES = 256 * 1024
MARKS = "installations"
"""Beside the blobs: the names of its files are all that is read of them."""
MARK_TEXT = b"An installation of Tieline keeps files here: docs/assets.md\n"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """One that lies there; `changed` in epoch seconds."""

    sha256: str
    size: int
    changed: float


class Blobs(Protocol):
    """A folder or a bucket. Everything raises AssetStoreUnavailable when it cannot be used."""

    @property
    def where(self) -> str:
        """As messages name it."""

    async def place(self, file: Path, sha256: str, size: int) -> None:
        """Take a finished file over: durable under its digest when this returns. What lay there is replaced."""

    def read(self, sha256: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Bytes as they are. Raises AssetMissing."""

    async def delete(self, sha256: str) -> None:
        """Twice is the same as once."""

    def every(self) -> AsyncGenerator[Blob]:
        """All that lie there, in no order."""

    async def marks(self) -> set[str]:
        """Names that were left beside the blobs."""

    async def mark(self, name: str) -> None:
        """Leave one; twice is the same as once."""

    async def unmark(self, name: str) -> None:
        """Take one away."""


def is_digest(text: str) -> bool:
    """Whether it can be the name of a blob; nothing else ever becomes part of a path."""
    return _DIGEST.fullmatch(text) is not None


class LocalBlobs:
    """A folder of this machine, or one that all machines of the installation share; for its owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        return str(self._folder)

    async def place(self, file: Path, sha256: str, size: int) -> None:
        """Also where it lies already: a damaged one is mended by that."""
        with unavailable(f"{self._folder} cannot be written"):
            await in_thread(self._place, file, self._path(sha256))

    async def read(self, sha256: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        with unavailable(f"asset {sha256[:12]}… in {self._folder} cannot be read"):
            try:
                path = self._path(sha256)
                descriptor = await taken_from_thread(lambda: os.open(path, os.O_RDONLY | os.O_NOFOLLOW), os.close)
            except FileNotFoundError:
                raise missing(sha256, self.where) from None
            try:
                while length is None or length > 0:
                    wanted = CHUNK_BYTES if length is None else min(CHUNK_BYTES, length)
                    chunk = await in_thread(os.pread, descriptor, wanted, start)
                    if not chunk:
                        return
                    start += len(chunk)
                    length = None if length is None else length - len(chunk)
                    yield chunk
            finally:
                os.close(descriptor)

    async def delete(self, sha256: str) -> None:
        with unavailable(f"asset {sha256[:12]}… in {self._folder} cannot be deleted"):
            await in_thread(self._path(sha256).unlink, missing_ok=True)

    async def every(self) -> AsyncGenerator[Blob]:
        with unavailable(f"{self._folder} cannot be read"):
            for folder in await in_thread(_folders, self._folder):
                for blob in await in_thread(_blobs_in, folder):
                    yield blob

    async def marks(self) -> set[str]:
        with unavailable(f"{self._folder / MARKS} cannot be read"):
            return await in_thread(lambda: {file.name for file in files_in(self._folder / MARKS)})

    async def mark(self, name: str) -> None:
        with unavailable(f"{self._folder} cannot be written"):
            await in_thread(self._mark, self._folder / MARKS / name)

    async def unmark(self, name: str) -> None:
        with unavailable(f"{self._folder / MARKS} cannot be written"):
            await in_thread((self._folder / MARKS / name).unlink, missing_ok=True)

    def _mark(self, path: Path) -> None:
        make_private(path.parent)
        path.touch(mode=0o600)
        path.write_bytes(MARK_TEXT)
        for folder in (path.parent, self._folder):
            sync_folder(folder)

    def _place(self, file: Path, path: Path) -> None:
        if not path.parent.exists():
            make_private(path.parent)
            sync_folder(self._folder)
        os.replace(file, path)
        sync_folder(path.parent)

    def _path(self, sha256: str) -> Path:
        if not is_digest(sha256):
            raise AssetMissing("an asset is named by a SHA-256: 64 hexadecimal digits in lower case")
        return self._folder / sha256[:2] / sha256


def missing(sha256: str, where: str) -> AssetMissing:
    """Its content is not where it should be."""
    return AssetMissing(
        f"the content of asset {sha256[:12]}… is not in {where}: every process of the installation needs the same "
        "place (TIELINE_DATA_DIR, TIELINE_ASSETS_URL); if it was collected or lost, put it again or restore a backup"
    )


@contextlib.contextmanager
def unavailable(what: str) -> Iterator[None]:
    """Tell what the operating system refused."""
    try:
        yield
    except OSError as error:
        reason = "it is no folder" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
        raise AssetStoreUnavailable(f"{what}: {reason}; see to room and rights on that disk") from None


def make_private(folder: Path) -> None:
    """For its owner only, and so whatever is missing on the way there."""
    if not folder.exists():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_in(folder: Path) -> list[Path]:
    """What stands in a folder that need not be there yet."""
    return sorted(folder.iterdir()) if folder.exists() else []


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in files_in(folder) if re.fullmatch("[0-9a-f]{2}", entry.name) and entry.is_dir()]


def _blobs_in(folder: Path) -> list[Blob]:
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries if is_digest(entry.name)]
    return [Blob(name, stat.st_size, stat.st_mtime) for name, stat in found]

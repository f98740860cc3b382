"""A file that only its owner can read, and that is there completely or not at all."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

Stamp = tuple[int, int, int]
"""Changes whenever the file is replaced or written."""


def stamp(path: Path) -> Stamp | None:
    """What tells one state of the file from another; None while it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def write_private(path: Path, content: str, *, replace: bool) -> None:
    """Write it with mode 0600, on the disk when this returns.

    Raises:
        FileExistsError: it is there already, and was not to be replaced.
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with _folder(path) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Only one process at a time reads a file and writes what follows from it; the lock is on its folder."""
    with _folder(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

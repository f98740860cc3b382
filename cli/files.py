"""Files of this machine, read and written in pieces; one that is made is there whole or not at all."""

import asyncio
import contextlib
import errno
import functools
import os
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from cli.errors import CliError, Status, cannot_be_read

T = TypeVar("T")

PIECE_BYTES = 1024 * 1024
LOOK_EVERY = 0.1
"""Seconds between two looks for the reader of a pipe."""

_UNUSABLE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO)
"""What is wrong with the name that was said."""


@contextlib.contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """For reading; `-` is standard input. Without a buffer: none could be closed while a thread waits for what a pipe
    brings, and a terminal's would want to be told of its end twice."""
    if file == "-":
        yield _unbuffered(sys.stdin.buffer)
        return
    try:
        source = Path(file).open("rb", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise CliError(cannot_be_read(file, error)) from None
    with source:
        yield source


def name_of(file: str, advice: str) -> str:
    """The name that a file has as an asset. Raises CliError: it cannot have it, and what to do."""
    from definitions.asset import check_file_name

    name = Path(file).name
    try:
        return check_file_name(name) if name not in ("", "..") else name  # folders, as opening them will tell
    except ValueError as error:
        raise CliError(f"{file!r} cannot be kept under its name: {error}; {advice}") from None


def size_of(source: IO[bytes]) -> int | None:
    """Of a file; nobody knows how much will come through a pipe."""
    try:
        return os.fstat(source.fileno()).st_size or None
    except OSError:
        return None


async def pieces(source: IO[bytes], advance: Callable[[int], None]) -> AsyncIterator[bytes]:
    """What it holds; `advance` is told how much was taken."""
    whole = True
    while whole and (piece := await _in_daemon(lambda: _piece(source))):
        whole = len(piece) == PIECE_BYTES
        yield piece
        advance(len(piece))


def _piece(source: IO[bytes]) -> bytes:
    """A whole one, however little a pipe gives out at once; less at the end, which a terminal tells once."""
    piece = bytearray()
    while len(piece) < PIECE_BYTES and (part := source.read(PIECE_BYTES - len(piece))):
        piece += part
    return bytes(piece)


async def _in_daemon(work: Callable[[], T]) -> T:
    """Beside the event loop, in a thread for which nobody waits at Ctrl-C: what it waits for may never come."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(outcome: Callable[[], None]) -> None:
        if not done.done():
            outcome()

    def work_and_tell() -> None:
        try:
            result = work()
            outcome = functools.partial(done.set_result, result)
        except Exception as error:
            outcome = functools.partial(done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, outcome)

    threading.Thread(target=work_and_tell, daemon=True).start()
    return await done


async def counted(chunks: AsyncIterator[bytes], advance: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The same chunks."""
    async for chunk in chunks:
        yield chunk
        advance(len(chunk))


async def write_to(target: IO[bytes], chunks: AsyncIterator[bytes]) -> None:
    """All of it, flushed; who is cancelled leaves at once, though nobody reads what was written."""
    target.flush()
    for_thread = _unbuffered(target)
    async for chunk in chunks:
        await _in_daemon(functools.partial(_write_all, for_thread, chunk))
    target.flush()


def _write_all(target: IO[bytes], chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        written: int | None = target.write(view)
        if written is None:  # it does not wait for its reader by itself
            time.sleep(LOOK_EVERY)
        view = view[written or 0 :]


def _unbuffered(file: IO[bytes]) -> IO[bytes]:
    """What is under its buffer: that one is locked while a thread waits in it, also to be flushed or closed."""
    raw: IO[bytes] = getattr(file, "raw", file)
    return raw


def is_stdout(name: str) -> bool:
    """Whether a file that is to be written is standard output: `-`, or as a system without `-` says it."""
    return name in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


async def write_whole(path: Path, chunks: AsyncIterator[bytes], *, replace: bool) -> None:
    """Under another name first, so that `path` never is half a file; what is there is refused unless it is to be
    replaced. A link stays, and leads to the new file; a pipe or device is written into.

    Raises:
        CliError: it is there, or cannot be opened, or the pipe's reader has gone. OSErrors of writing are the caller's.
    """
    try:
        if replace and _is_stream(path):
            await _write_into(path, chunks)
        elif replace:
            await _write_beside(_behind_links(path), chunks, replace=True)
        else:
            await _write_beside(path, chunks, replace=False)
    except FileExistsError:
        raise CliError(f"{path} is there already: name the file that is to be written") from None
    except BrokenPipeError:  # unlike that of standard output, whose end tells whoever began the pipeline
        raise CliError(f"{path}: its reader has gone before all was written", Status.FAILED) from None
    except OSError as error:
        if error.errno not in _UNUSABLE:
            raise
        raise CliError(f"{path} cannot be written ({error.strerror})") from None


async def _write_beside(path: Path, chunks: AsyncIterator[bytes], *, replace: bool) -> None:
    with _beside(path) as target:
        await write_to(target, chunks)
        _name(Path(target.name), path, replace=replace)


def _is_stream(path: Path) -> bool:
    """Whether there is something that another file must not take the place of."""
    return path.exists() and (not path.is_file() or _is_descriptor(path)) and not path.is_dir()


def _is_descriptor(path: Path) -> bool:
    """Whether the name leads to what a process has open, as `/dev/stderr` does: to some place in a file."""
    target = path.parent / path.readlink() if path.is_symlink() else path
    return any(os.path.realpath(each.parent).startswith("/proc/") for each in (path, target))


def _behind_links(path: Path) -> Path:
    """The file itself; it need not be there."""
    return Path(os.path.realpath(path))


async def _write_into(path: Path, chunks: AsyncIterator[bytes]) -> None:
    while (descriptor := _opened_at_once(path)) is None:  # noqa: ASYNC110 - nothing tells of readers
        await asyncio.sleep(LOOK_EVERY)
    with os.fdopen(descriptor, "wb", buffering=0) as target:
        await write_to(target, chunks)


def _opened_at_once(path: Path) -> int | None:
    """None: a pipe that nobody reads yet. Opening it would wait for a reader, and nothing could interrupt that."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | (os.O_APPEND if path.is_file() else 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO and path.is_fifo():
            return None
        raise
    os.set_blocking(descriptor, True)
    return descriptor


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    with tempfile.NamedTemporaryFile(prefix=f".{path.name[:60]}.", dir=path.parent, delete=False) as target:
        try:
            os.fchmod(target.fileno(), 0o666 & ~_umask())
            yield target
        finally:
            Path(target.name).unlink(missing_ok=True)


def _name(temporary: Path, path: Path, *, replace: bool) -> None:
    if replace:
        temporary.replace(path)
    else:
        os.link(temporary, path)


def _umask() -> int:
    """Can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

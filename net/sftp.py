"""Operations on one SFTP server. Every failure is an `SftpError` that names operation, path and server."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import asyncssh

from net.sftp_errors import SftpError
from net.sftp_faults import Raised, fault, is_plain_failure, printable
from net.sftp_files import attributes, remote_file
from net.sftp_listing import Listing
from net.sftp_names import encoded, listed
from net.sftp_pipeline import Progress, WriteBehind, check_size, read_ahead
from net.sftp_server import RemoteFile, SftpServer
from net.sftp_watch import Watch
from net.ssh_shared import SharedConnection

BLOCK = 255 * 1024
"""Bytes per request, or what the server takes if that is less."""
IN_FLIGHT = 16
"""Requests of that size per transfer."""
MOST_IN_FLIGHT = 64
"""Of smaller ones."""
COPY_PIECE = 32 * 1024 * 1024
"""Bytes that the server copies per request: one request for a large file would look like a server that hangs."""

T = TypeVar("T")
_CREATE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT


class SftpSession:
    """What one user does on a connection that others may share. Paths are absolute, or relative to the login folder."""

    def __init__(self, server: SftpServer, connection: SharedConnection) -> None:
        self.username = server.username
        self._place = server.place
        self._shared = connection
        self._sftp = connection.sftp
        self._listings: set[Listing] = set()
        self.rename_keeps = connection.rename_keeps
        """Whether it is known that a rename that is not to replace anything does not."""
        connection.users += 1

    def end(self) -> None:
        """Stop whatever this user left under way, without waiting for the server. Once."""
        self._shared.users -= 1
        for listing in self._listings:
            listing.end()

    @asynccontextmanager
    async def watch(self, stall: float, overall: float) -> AsyncIterator[None]:
        """Limits, in seconds, for what is done inside: no answer for `stall`, and `overall` for everything.

        Raises:
            SftpError: `stalled` or `timeout`, at once: a server that does not answer is not waited for. The connection
                is ended, or, while it still answers others, not used for anything new.
        """
        try:
            async with asyncio.timeout(overall) as whole, asyncio.timeout(None) as timer:
                with Watch(stall, timer).on():
                    yield
        except TimeoutError:
            if timer.expired():
                self._shared.give_up(stall)
                raise SftpError("stalled", f"{self._place} has not answered for {stall:g} s") from None
            if whole.expired():
                self._shared.give_up(stall)
                text = f"{self._place}: not done within {overall:g} s, though the server answers"
                raise SftpError("timeout", text) from None
            raise

    async def stat(self, path: str) -> RemoteFile | None:
        """What a path leads to, through links; None when there is nothing."""
        return await self._look("stat", path, self._sftp.stat)

    async def lstat(self, path: str) -> RemoteFile | None:
        """What a path is, be it a link; None when there is nothing."""
        return await self._look("lstat", path, self._sftp.lstat)

    async def realpath(self, path: str) -> str:
        """The absolute path without links and dots, as the server sees it."""
        raw = await self._ask("realpath", path, self._sftp.realpath(encoded("realpath", path)))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            said = f"realpath {printable(path)} at {self._place}: the answer is not UTF-8"
            raise SftpError("bad_name", said) from None

    async def list(self, path: str) -> AsyncGenerator[RemoteFile, None]:
        """What is in a folder, in the server's order, without `.` and `..`. Links are not followed.

        An entry whose name must not be used has `refused` set.
        """
        listing = Listing(self._shared, encoded("list", path))
        self._listings.add(listing)
        try:
            async with aclosing(listing.entries()) as entries:
                async for entry in entries:
                    assert isinstance(entry.filename, bytes)
                    if entry.filename not in (b".", b".."):
                        name, refused = listed(entry.filename)
                        yield remote_file(f"{path.rstrip('/')}/{name}", name, entry.attrs, refused)
        except Raised as error:
            raise fault("list", path, self._place, error) from None
        finally:
            listing.end()
            self._listings.discard(listing)

    async def mkdir(self, path: str, permissions: int | None = None) -> None:
        """Make one folder. Raises SftpError `already_exists` and others."""
        request = self._sftp.mkdir(encoded("mkdir", path), attributes(permissions))
        await self._change("mkdir", path, request, path)

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder. Raises SftpError `not_empty` and others."""
        raw = encoded("rmdir", path)
        try:
            with self._shared.asking():
                await self._sftp.rmdir(raw)
        except Raised as error:
            full = is_plain_failure(error) and await self._holds_something(path)
            raise fault("rmdir", path, self._place, error, code="not_empty" if full else None) from None

    async def remove(self, path: str) -> None:
        """Remove a file or a link."""
        await self._ask("remove", path, self._sftp.remove(encoded("remove", path)))

    async def rename(self, source: str, target: str, *, replace: bool) -> None:
        """Give a file or folder another name; in one step also when something is replaced.

        Raises:
            SftpError: `already_exists`; `unsupported`, when something is to be replaced and the server offers no way to
                do that in one step.
        """
        old, new = encoded("rename", source), encoded("rename", target)
        if replace and await self._replaced(source, old, new):
            return
        try:
            await self._change("rename", source, self._sftp.rename(old, new), target)
        except SftpError as error:
            if replace and await self._is_in_the_way(error, target):
                text = f"rename {printable(source)} at {self._place}: the server cannot replace {printable(target)}"
                raise SftpError("unsupported", f"{text} in one step; remove it first, or let it stay") from None
            raise

    async def copy(self, source: str, target: str, *, exclusive: bool = False) -> bool:
        """Copy a file within the server, over what is there; False, and nothing done, when it offers no such thing.

        With `exclusive` there must be nothing.
        """
        raw = encoded("copy", source), encoded("copy", target)
        if not self._sftp.supports_remote_copy:
            return False
        flags = _CREATE | (asyncssh.FXF_EXCL if exclusive else asyncssh.FXF_TRUNC)
        async with self._opened("copy", source, raw[0], asyncssh.FXF_READ) as old:
            size = (await self._ask("copy", source, old.stat())).size or 0
            async with self._opened("copy", target, raw[1], flags, close=True) as new:
                for at in range(0, size, COPY_PIECE):
                    length = min(COPY_PIECE, size - at)
                    await self._ask("copy", source, self._sftp.remote_copy(old, new, at, length, at))
                await self._sync("copy", target, new)
        return True

    async def read(self, path: str, start: int = 0, *, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """A file's bytes from `start`, to its end whatever size the server told, or for `length` bytes at most."""
        raw = encoded("read", path)
        async with self._shared.reads, self._opened("read", path, raw, asyncssh.FXF_READ) as file:

            async def fetch(offset: int, size: int) -> bytes:
                return check_size(await self._ask("read", path, file.read(size, offset)), size, self._place)

            block, depth = self._pace(self._sftp.limits.max_read_len)
            end = None if length is None else start + length
            async with aclosing(read_ahead(fetch, start, end, block=block, depth=depth)) as blocks:
                async for data in blocks:
                    yield data

    async def read_range(self, path: str, start: int, length: int) -> bytes:
        """`length` bytes from `start`; fewer when the file ends before."""
        async with aclosing(self.read(path, start, length=length)) as blocks:
            return b"".join([data async for data in blocks])

    async def write(
        self,
        path: str,
        chunks: AsyncIterator[bytes],
        *,
        start: int = 0,
        exclusive: bool = False,
        keep: bool = False,
        on_progress: Progress | None = None,
        at_begin: Callable[[], Awaitable[None]] | None = None,
        at_end: Callable[[int], Awaitable[None]] | None = None,
    ) -> int:
        """Write a file from `start` on, where it ends with the last chunk; the size that it then has.

        At 0 the file is made, or emptied; with `exclusive` it must not exist, with `keep` it is written over and cut to
        its size at the end. Further on it must exist, and keeps what is before. `on_progress` is told the offset up to
        which the server has confirmed everything. `at_begin` is waited for when it is this file's turn, before the
        server is asked for anything. At the end the server is asked to put the file on its disk, if it
        offers that; `at_end` is told the size then, and waited for, before the file is closed.
        """
        flags = asyncssh.FXF_WRITE if start else _CREATE
        if not start and not keep:
            flags |= asyncssh.FXF_TRUNC
        if exclusive and not start:
            flags = _CREATE | asyncssh.FXF_EXCL
        raw = encoded("write", path)
        opening = self._opened("write", path, raw, flags, close=True)
        async with self._shared.writes, _after(at_begin), opening as file:

            async def send(offset: int, data: bytes) -> None:
                await self._write_block(path, raw, file, offset, data)

            block, depth = self._pace(self._sftp.limits.max_write_len)
            end = await WriteBehind(send, start, block=block, depth=depth, on_progress=on_progress).run(chunks)
            if (start or keep) and ((await self._ask("write", path, file.stat())).size or 0) > end:
                await self._ask("write", path, file.truncate(end))
            await self._sync("write", path, file)
            if at_end is not None:
                await at_end(end)
        return end

    async def set_attributes(self, path: str, *, permissions: int | None = None, modified: float | None = None) -> None:
        """Set permissions (such as 0o640), and the time of the last change in seconds since the epoch."""
        request = self._sftp.setstat(encoded("set attributes of", path), attributes(permissions, modified))
        await self._ask("set attributes of", path, request)

    async def _ask(self, operation: str, path: str, request: Awaitable[T]) -> T:
        try:
            with self._shared.asking():
                return await request
        except Raised as error:
            raise fault(operation, path, self._place, error) from None

    async def _change(self, operation: str, path: str, request: Awaitable[T], in_the_way: str | None) -> T:
        """A request that, of all failures that a server does not explain, fails because something is there already."""
        try:
            with self._shared.asking():
                return await request
        except Raised as error:
            there = in_the_way is not None and is_plain_failure(error) and await self._exists(in_the_way)
            raise fault(operation, path, self._place, error, code="already_exists" if there else None) from None

    async def _look(self, operation: str, path: str, ask: Callable[[bytes], Awaitable[Any]]) -> RemoteFile | None:
        try:
            attrs = await self._ask(operation, path, ask(encoded(operation, path)))
        except SftpError as error:
            if error.code == "not_found":
                return None
            raise
        return remote_file(path, path.rstrip("/").rpartition("/")[2], attrs)

    async def _replaced(self, source: str, old: bytes, new: bytes) -> bool:
        """False when the server has no way to rename over a file."""
        try:
            await self._ask("rename", source, self._sftp.posix_rename(old, new))
        except SftpError as error:
            if error.code == "unsupported":
                return False
            raise
        return True

    async def _write_block(
        self, path: str, raw: bytes, file: asyncssh.SFTPClientFile, offset: int, data: bytes
    ) -> None:
        try:
            with self._shared.asking():
                await file.write(data, offset)
        except Raised as error:
            full = is_plain_failure(error) and await self._is_full(raw, len(data))
            raise fault("write", path, self._place, error, code="no_space" if full else None) from None

    async def _sync(self, operation: str, path: str, file: asyncssh.SFTPClientFile) -> None:
        try:
            await self._ask(operation, path, file.fsync())
        except SftpError as error:
            if error.code != "unsupported":
                raise

    async def _is_in_the_way(self, error: SftpError, target: str) -> bool:
        """Some servers do not permit what others call a failure."""
        if error.code == "permission_denied":
            return await self._exists(target)
        return error.code == "already_exists"

    async def _exists(self, path: str) -> bool:
        try:
            return await self.lstat(path) is not None
        except SftpError:
            return False

    async def _holds_something(self, path: str) -> bool:
        try:
            async with aclosing(self.list(path)) as entries:
                return await anext(entries, None) is not None
        except SftpError:
            return False

    async def _is_full(self, raw: bytes, needed: int) -> bool:
        try:
            with self._shared.asking():
                room = await self._sftp.statvfs(raw)
        except Raised:
            return False
        return room.bavail * room.frsize < needed

    @asynccontextmanager
    async def _opened(
        self, operation: str, path: str, raw: bytes, flags: int, *, close: bool = False
    ) -> AsyncIterator[asyncssh.SFTPClientFile]:
        """An open file. With `close` the end waits until the server has closed it, which is when it tells what failed.

        When the user is gone while the server has not answered yet, the file is closed when it has.
        """
        opening = asyncio.get_running_loop().create_task(_open(self._sftp, raw, flags))
        try:
            exclusive = path if flags & asyncssh.FXF_EXCL else None
            file = await self._change(operation, path, asyncio.shield(opening), exclusive)
        except asyncio.CancelledError:
            self._shared.tidy(_close_later(opening))
            raise
        done = False
        try:
            yield file
            if close:
                done = True
                await self._ask(operation, path, file.close())
        finally:
            if not done:
                self._shared.tidy(file.close())

    def _pace(self, server_limit: int) -> tuple[int, int]:
        """Size and number of requests in flight."""
        block = min(BLOCK, server_limit or BLOCK)
        return block, min(MOST_IN_FLIGHT, max(IN_FLIGHT, IN_FLIGHT * BLOCK // block))


@asynccontextmanager
async def _after(first: Callable[[], Awaitable[None]] | None) -> AsyncIterator[None]:
    if first is not None:
        await first()
    yield


async def _open(sftp: asyncssh.SFTPClient, raw: bytes, flags: int) -> asyncssh.SFTPClientFile:
    """Without blocks of asyncssh's own: each read or write is one request."""
    return await sftp.open(raw, flags, encoding=None, block_size=0)


async def _close_later(opening: asyncio.Task[asyncssh.SFTPClientFile]) -> None:
    await (await opening).close()

"""The entries of a folder, as the server sends them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import asyncssh

from net.sftp_faults import Raised
from net.ssh_shared import SharedConnection

AHEAD = 256
"""Entries that are kept for a slow reader."""

_Item = asyncssh.SFTPName | Exception | None


class Listing:
    """One listing under way, in a task of its own: asyncssh waits for the server when a listing is given up."""

    def __init__(self, connection: SharedConnection, raw: bytes) -> None:
        self._connection = connection
        self._queue: asyncio.Queue[_Item] = asyncio.Queue(AHEAD)
        self._ended = False
        self._pump = asyncio.get_running_loop().create_task(self._fill(raw))

    def end(self) -> None:
        """Stop; the server is told in the background."""
        if not self._ended:
            self._ended = True
            self._pump.cancel()

    async def entries(self) -> AsyncGenerator[asyncssh.SFTPName, None]:
        """Raises what asyncssh raises."""
        while (item := await self._next()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    async def _next(self) -> _Item:
        if not self._queue.empty():
            return self._queue.get_nowait()
        with self._connection.asking():
            return await self._queue.get()

    async def _fill(self, raw: bytes) -> None:
        end: Exception | None = None
        entries = cast(AsyncGenerator[asyncssh.SFTPName, None], self._connection.sftp.scandir(raw))
        try:
            async with aclosing(entries):
                async for entry in entries:
                    await self._queue.put(entry)
        except Raised as error:
            end = error
        if not self._ended:
            await self._queue.put(end)

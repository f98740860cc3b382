"""One SSH connection with its SFTP channel, used by several operations at the same time."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import asyncssh

from net.sftp_watch import asking

TRANSFERS_AT_ONCE = 32
"""Reads, and likewise writes, of files; more of them at once are not quicker."""
GOODBYE_SECONDS = 3.0
TIDY_SECONDS = 15.0


class SharedConnection:
    """A logged-in connection. `reads` and `writes` are turns; apart, because a copy holds one of each."""

    def __init__(self, connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient) -> None:
        self.sftp = sftp
        self.reads = asyncio.Semaphore(TRANSFERS_AT_ONCE)
        self.writes = asyncio.Semaphore(TRANSFERS_AT_ONCE)
        self.users = 0
        self.rename_keeps = "OpenSSH_" in (connection.get_extra_info("server_version") or "")
        """Whether it is known that a plain rename replaces nothing, as the protocol says and others do not hold."""
        self._connection = connection
        self._answered_at = asyncio.get_running_loop().time()
        self._suspect = False
        self._tidying: set[asyncio.Task[None]] = set()

    def is_healthy(self) -> bool:
        """May more operations begin on it?"""
        return not self._suspect and not self._connection.is_closed()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """A request is under way; what ends it without an error, or with an error of the server's, is an answer."""
        with asking():
            try:
                yield
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._answered_at = asyncio.get_running_loop().time()
                raise
            self._answered_at = asyncio.get_running_loop().time()

    def give_up(self, silence: float) -> None:
        """An operation ran out of time. Ends the connection, unless it answers others, which then may finish."""
        self._suspect = True
        silent = asyncio.get_running_loop().time() - self._answered_at >= silence
        if silent or self.users <= 1:
            self._connection.abort()

    def tidy(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something on the server that nobody waits for, such as closing a file."""
        task = asyncio.get_running_loop().create_task(self._tidy(work))
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)

    async def aclose(self) -> None:
        """Say goodbye; when that takes too long, without it."""
        self._suspect = True
        for task in self._tidying:
            task.cancel()
        self._connection.close()
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()
            await self._connection.wait_closed()

    async def _tidy(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            async with asyncio.timeout(TIDY_SECONDS):
                await work
        except TimeoutError:
            self._suspect = True
        except (asyncssh.Error, OSError, EOFError):
            pass

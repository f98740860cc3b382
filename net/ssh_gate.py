"""How many SSH handshakes a process makes with one server at a time, and how long it holds off one that turns it away.

OpenSSH drops connections at random once `MaxStartups` of them (10 by default, for all clients together) have not logged
in yet. More of them at once, or sooner, gain nothing.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from net.sftp_errors import SftpError

HANDSHAKES_AT_ONCE = 2
FIRST_PAUSE = 0.5
"""Seconds."""
LONGEST_PAUSE = 15.0
LONGEST_WAIT = 60.0
MAX_HOSTS = 1024


@dataclass(slots=True, eq=False)
class _Host:
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HANDSHAKES_AT_ONCE))
    dropped: int = 0
    open_at: float = 0.0
    users: int = 0


class HandshakeGate:
    """One per process. `jitter` gives numbers from 0 to 1."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._now = now
        self._jitter = jitter
        self._hosts: OrderedDict[tuple[str, int], _Host] = OrderedDict()

    @asynccontextmanager
    async def turn(self, host: str, port: int) -> AsyncIterator[None]:
        """Wait for a turn to connect to this server, and for the pause that it has brought about to be over.

        Raises:
            SftpError: `connect_failed`: the others took too long.
        """
        entry = self._entry((host, port))
        entry.users += 1
        try:
            await self._wait(entry, f"{host}:{port}")
            try:
                yield
            finally:
                entry.turns.release()
        finally:
            entry.users -= 1

    async def _wait(self, entry: _Host, place: str) -> None:
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await entry.turns.acquire()
        except TimeoutError:
            said = f"{place}: no turn to connect within {LONGEST_WAIT:g} s; the server lets others in too slowly"
            raise SftpError("connect_failed", said) from None
        try:
            await self._sleep(max(0.0, entry.open_at - self._now()))
        except BaseException:
            entry.turns.release()
            raise

    def dropped(self, host: str, port: int) -> None:
        """The server closed a connection before anybody could log in: hold off, twice as long each time in a row."""
        entry = self._entry((host, port))
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(entry.dropped, 10))
        entry.dropped += 1
        entry.open_at = self._now() + pause * (0.5 + 0.5 * self._jitter())

    def answered(self, host: str, port: int) -> None:
        """The server got as far as a login, whatever came of it."""
        entry = self._entry((host, port))
        entry.dropped = 0
        entry.open_at = 0.0

    def _entry(self, key: tuple[str, int]) -> _Host:
        entry = self._hosts.setdefault(key, _Host())
        self._hosts.move_to_end(key)
        if len(self._hosts) > MAX_HOSTS:
            for old in [each for each, host in self._hosts.items() if host.users == 0 and each != key][:1]:
                del self._hosts[old]
        return entry

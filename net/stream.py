"""A connection that knows its socket, so that the pool learns quickly whether the other side has hung up.

The pool asks that of every idle connection at every request. The transport's own answer collects the addresses of both
sides on the way, 10 µs a connection: with 32 of them idle it took longer than the rest of the call.
"""

import asyncio
import select
import ssl
from typing import Any
from weakref import WeakSet

from httpcore2 import AsyncNetworkStream

_HUNG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)
"""Outside Linux, POLLHUP says it, too."""


class QuickStream(AsyncNetworkStream):
    """Passes everything on; answers `is_readable` by itself. `family`: where it and its form under TLS are found."""

    def __init__(self, stream: AsyncNetworkStream, family: "WeakSet[QuickStream]", socket: Any = None) -> None:
        self._stream = stream
        self._family = family
        self._socket = socket or stream.get_extra_info("socket")
        family.add(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncNetworkStream:
        """The same connection under TLS; closed when the handshake is cancelled, which the transport does not do."""
        try:
            secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise
        return QuickStream(secured, self._family, self._socket)

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: there is something to read, which on an idle connection is its end; or it is closed."""
        return self._is_readable() if info == "is_readable" else self._stream.get_extra_info(info)

    def has_hung_up(self) -> bool:
        """Has the other side closed the connection, whether or not all that it sent before is read?"""
        return self._shows(_HUNG_UP)

    def _is_readable(self) -> bool:
        return self._socket.fileno() < 0 or self._shows(select.POLLIN)

    def _shows(self, events: int) -> bool:
        descriptor = self._socket.fileno()
        if descriptor < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, events)
        return bool(poll.poll(0))

"""Gives the socket in one piece what is written in one turn of the event loop.

asyncssh writes each packet by itself, and an empty one before it: two system calls for every 32 KB, or for every
request of fifty bytes, and a server that is woken as often.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

ENOUGH = 16 * 1024
"""Bytes that are worth a system call of their own: to gather more of them costs more than it saves."""


class GatheringTransport:
    """Another transport, whose writes wait until whoever writes now has written all."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """In order, with what else is written before the event loop goes on."""
        if not self._pieces:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= ENOUGH:
            self._flush()

    def close(self) -> None:
        """Once all is sent."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))


class DialledSocket:
    """The way to a server, as asyncssh asks for one: what it calls a tunnel. The socket is connected already."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.BaseTransport, asyncio.Protocol]:
        """`host` and `port` are where the socket leads."""
        protocol = factory()
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: _Handover(protocol), sock=self._sock)
        return transport, protocol


class _Handover(asyncio.Protocol):
    """Is there before the protocol whose transport is to be another one, and not for longer."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "it is a socket's"
        transport.set_protocol(self._protocol)
        self._protocol.connection_made(GatheringTransport(transport))  # type: ignore[arg-type]

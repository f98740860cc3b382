"""The server that both sides call: a process of its own, and as little work per request as Python allows.

A slow server would flatter whoever adds to a call.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from runtime.local_process import local_process

BODY = b'{"id": 4711, "name": "Ada Lovelace", "city": "London", "tags": ["first", "programmer"], "active": true}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
END = b"\r\n\r\n"


@contextlib.asynccontextmanager
async def counterpart(folder: Path) -> AsyncIterator[int]:
    """The port of the server on 127.0.0.1, which runs while the body does."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "benchmarks.counterpart", str(descriptor)]
        async with local_process(command, folder / "counterpart.log", keep_open=[descriptor]):
            yield listener.getsockname()[1]


class _Connection(asyncio.Protocol):
    """Answers every request without a body."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *requests, self._held = (self._held + data).split(END)
        self._transport.write(ANSWER * len(requests))


async def _serve(descriptor: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))

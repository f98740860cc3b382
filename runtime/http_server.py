"""HTTP servers inside a process that has more to do: they leave signals alone and end with the body that runs them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it drains its work first."""
        yield


@contextlib.asynccontextmanager
async def http_server(config: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    """Serve while the body runs."""
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


def listen(address: str) -> socket.socket:
    """Listen at `HOST:PORT`, because uvicorn ends the whole process when it cannot. Raises OSError."""
    host, port = split_address(address)
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def split_address(address: str) -> tuple[str, int]:
    """Host without brackets, and port."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)

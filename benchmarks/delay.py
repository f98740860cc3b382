"""A long line on one machine: `python -m benchmarks.delay DESCRIPTOR PORT SECONDS`.

Takes connections on a listening socket, makes one to PORT for each, and hands on what comes, either way, so many
seconds later. Nothing else is held back: the bandwidth is that of the machine.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from runtime.local_process import local_process

HOST = "127.0.0.1"
PIECE = 256 * 1024
UNDER_WAY = 256
"""Pieces on their way in one direction, at most: 64 MB, more than any window of SSH."""


@contextlib.asynccontextmanager
async def long_line(folder: Path, port: int, round_trip: float) -> AsyncIterator[int]:
    """A port of this machine that leads to that port, `round_trip` seconds there and back."""
    with socket.create_server((HOST, 0), backlog=64) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "benchmarks.delay", str(descriptor), str(port), str(round_trip / 2)]
        async with local_process(command, folder / "delay.log", keep_open=[descriptor]):
            yield listener.getsockname()[1]


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY)

    async def take() -> None:
        data = b"more"
        while data:
            data = await reader.read(PIECE)
            await under_way.put((loop.time() + seconds, data))

    async def deliver() -> None:
        while True:
            due, data = await under_way.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not data:
                return
            writer.write(data)
            await writer.drain()

    with contextlib.suppress(ConnectionError):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(take())
            tasks.create_task(deliver())


async def _serve(descriptor: int, port: int, seconds: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, port)
        ways = (reader, far_writer), (far_reader, writer)
        try:
            await asyncio.wait(
                [asyncio.create_task(_hand_on(*way, seconds)) for way in ways], return_when="FIRST_COMPLETED"
            )
        finally:
            for each in (writer, far_writer):
                each.close()

    listener = socket.socket(fileno=descriptor)
    async with await asyncio.start_server(connected, sock=listener) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))

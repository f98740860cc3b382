"""How much memory a worker takes for a file of 1 GB, above what it holds idle: sent, fetched, and from HTTP to SFTP.

The worker is a process of its own that has moved a small file each way before, so that libraries and pools are there.
"""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import psutil

from benchmarks.measure import Comparison, compared
from benchmarks.memory import SETTLE_SECONDS, python_process
from benchmarks.sftp_stage import PIECE, Installation
from runtime.runs import Runs

GIGABYTE = 1_000_000_000
SMALL = 10_000
ALLOWED = 64.0
"""MiB."""
LOOK_EVERY = 0.02
MIB = 2**20

Sizes = tuple[float, float]
"""USS and RSS in MiB."""


async def measure(installation: Installation, adapter: str, source: str) -> AsyncIterator[Comparison]:
    """The peaks above idle, in units of what is allowed. `source` is an adapter whose answer to `/N` has N bytes."""
    queue = uuid.uuid4().hex
    installation = replace(installation, runs=Runs(installation.client, queue))
    sizes = SMALL, GIGABYTE
    stored = {each: (await installation.files(f"memory-{each}", 1, each)).assets[0] for each in sizes}

    def upload(file: Mapping[str, Any], path: str) -> Callable[[], Awaitable[object]]:
        files = [{"source": file, "path": path}]
        return lambda: installation.do(adapter, "upload", files=files, overwrite="replace")

    def streams(size: int) -> Mapping[str, Callable[[], Awaitable[object]]]:
        kept = {"type": "asset", "asset": stored[size]}
        answer = {"type": "http", "adapter": source, "path": f"/{size}"}
        return {
            "put": upload(kept, f"memory/{size}"),
            "get": lambda: installation.do(adapter, "download", paths=[f"memory/{size}"]),
            "from HTTP": upload(answer, f"memory/{size}-http"),
        }

    async with python_process("-m", "worker", environment=_environment(installation, queue)) as process:
        for stream in streams(SMALL).values():
            await stream()
        await asyncio.sleep(SETTLE_SECONDS)
        idle = _sizes(process)
        for name, stream in streams(GIGABYTE).items():
            peak = await _peak(process, stream)
            for index, kind in enumerate(("USS", "RSS")):
                above = peak[index] - idle[index]
                yield compared(f"1 GB {name}, {kind} above idle", [(above, ALLOWED)], unit=" MiB", goal="≤ 1")


@contextlib.asynccontextmanager
async def endless() -> AsyncIterator[int]:
    """The port of an HTTP server whose answer to `GET /N` has N bytes."""
    block = os.urandom(PIECE)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            left = int(request.split()[1].lstrip(b"/"))
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n"
            writer.write(head % left + b"Connection: close\r\n\r\n")
            while left:
                writer.write(block[:left])
                left -= min(left, PIECE)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def _environment(installation: Installation, queue: str) -> Mapping[str, str]:
    settings = installation.stores.settings
    return {
        "TIELINE_DATA_DIR": str(settings.data_dir),
        "TIELINE_DATABASE_URL": settings.database_url,
        "TIELINE_KEY_FILE": str(settings.key_file),
        "TIELINE_TEMPORAL_ADDRESS": settings.temporal_address or "",
        "TIELINE_TASK_QUEUE": queue,
        "TIELINE_EGRESS_ALLOW": ",".join(settings.egress_allow),
    }


async def _peak(process: int, work: Callable[[], Awaitable[object]]) -> Sizes:
    """The largest sizes while the work is done."""
    doing = asyncio.ensure_future(work())
    seen = [_sizes(process)]
    while not doing.done():
        await asyncio.wait([doing], timeout=LOOK_EVERY)
        seen.append(_sizes(process))
    await doing
    return max(uss for uss, _ in seen), max(rss for _, rss in seen)


def _sizes(process: int) -> Sizes:
    memory = psutil.Process(process).memory_full_info()
    return memory.uss / MIB, memory.rss / MIB

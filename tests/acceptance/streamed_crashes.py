"""kill -9 of a real worker while a body is under way, and how the run goes on with another one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from definitions.asset import Asset
from definitions.loading import load_text
from definitions.run import Decision, RunResult
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.runs import Started
from tests.acceptance.crashing_worker import crashing_worker
from tests.fixtures.assets import drafts, pieces
from tests.fixtures.http import Answer, FaultServer, Received, Wire, serving
from tests.fixtures.tieline import Installation, installed
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=90)
CONTENT = bytes(range(256)) * 65536
"""16 MiB: more than the sockets between two processes hold."""

FILES = """
kind: integration
key: files
name: Files over HTTP
base_url: "http://{server}"
parameters: {server: {pattern: '127\\.0\\.0\\.1:\\d+'}}
auth: {type: none}
---
kind: profile
name: production
adapters: {files: files}
"""


@dataclass(frozen=True, slots=True)
class StreamedCrash:
    """`left`: drafts that the killed worker left; `after`: those that there are in the end."""

    requests: int
    left: int
    after: int
    result: RunResult
    steps: list[str]


@dataclass(frozen=True, slots=True)
class _World:
    installation: Installation
    server: FaultServer

    async def start(self, **operation: Any) -> Started:
        return await self.installation.start("files", "/file", timeout="80s", **operation)

    def drafts(self) -> list[Path]:
        return drafts(self.installation.stores.settings.data_dir / "assets")

    async def put(self) -> Asset:
        assets = self.installation.stores.assets
        return await assets.put(pieces(CONTENT), name="a.bin", media_type="application/octet-stream", holder="user")

    async def end(self, run: Started, left: int) -> StreamedCrash:
        result = await self.installation.runs.result(run.id, timeout=LIMIT)
        _, steps = await self.installation.runs.show(run.id)
        requests = len(self.server.to("/file"))
        return StreamedCrash(requests, left, len(self.drafts()), result, [step.what for step in steps])


@asynccontextmanager
async def _world(folder: Path, address: str, systems: Systems) -> AsyncIterator[_World]:
    async with serving(FaultServer()) as server:
        allow = [f"127.0.0.1:{server.port}"]
        async with installed(folder, address, systems, allow=allow) as installation:
            await installation.stores.definitions.apply(load_text(FILES, "files.yaml"))
            await installation.stores.accounts.create("files", "files", {"server": allow[0]}, {})
            yield _World(installation, server)


async def killed_while_an_answer_comes(folder: Path, address: str, systems: Systems) -> StreamedCrash:
    """A GET whose first answer stops half-way, until the worker is dead."""
    async with _world(folder, address, systems) as world:

        async def half_first(_: Received, wire: Wire) -> Answer | None:
            if len(world.server.to("/file")) > 1:
                return Answer(200, CONTENT)
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT))
            await wire.send(CONTENT[: len(CONTENT) // 2])
            await wire.receive(1)
            return None

        world.server.on("/file", half_first)
        async with crashing_worker(world.installation, "never") as worker:
            run = await world.start()
            await until(lambda: any(draft.stat().st_size for draft in world.drafts()), limit=60)
            worker.kill()
            await asyncio.wait_for(worker.wait(), 60)
        left = len(world.drafts())
        async with open_worker(world.installation.stores, world.installation.client):
            return await world.end(run, left)


async def killed_while_a_body_goes(folder: Path, address: str, systems: Systems) -> StreamedCrash:
    """A POST that nobody may repeat, whose body is taken half-way, until the worker is dead."""
    async with _world(folder, address, systems) as world:
        half = asyncio.Event()

        async def take_half(_: Received, wire: Wire) -> None:
            left = len(CONTENT) // 2
            while left > 0 and (piece := await wire.receive(65536)):
                left -= len(piece)
            half.set()
            await asyncio.Event().wait()

        world.server.on_head("/file", take_half)
        body = {"type": "asset", "asset": await world.put()}
        async with crashing_worker(world.installation, "never") as worker:
            run = await world.start(method="POST", body=body)
            await asyncio.wait_for(half.wait(), 60)
            worker.kill()
            await asyncio.wait_for(worker.wait(), 60)
        async with open_worker(world.installation.stores, world.installation.client):

            async def waits() -> bool:
                return (await world.installation.runs.show(run.id))[0].state == "waiting_for_decision"

            await until(waits, limit=90)
            seen = Decision(action="skip", who="ann", why="half a file is of no use to them", value="seen")
            await world.installation.runs.decide(run.id, seen)
            return await world.end(run, 0)

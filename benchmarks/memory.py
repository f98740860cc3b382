"""How much memory an idle worker holds, against bare Temporal workers.

Each is a process of its own that has made one call and rests. USS is what a process alone holds; RSS counts shared
pages, too. One bare worker has imported all that Tieline's worker imports, so what is left is what Tieline keeps; the
other imports Temporal and the HTTP client alone.
"""

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping

import psutil
from temporalio.client import Client

from benchmarks.by_hand import GET, bare_run
from benchmarks.measure import Comparison, compared
from benchmarks.stage import OPERATION, REF, Stage
from runtime.assembly import connect
from runtime.runs import Runs

ROUNDS = 3
SETTLE_SECONDS = 1.0
IMPORTED = ("cli.server", "runtime.serve")
"""What brings in all that `python -m worker` has imported when it works."""

Sizes = tuple[float, float]
"""USS and RSS in MB."""


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    rounds = [await asyncio.gather(_tieline(stage), _bare(stage, *IMPORTED), _bare(stage)) for _ in range(ROUNDS)]
    for index, kind in enumerate(("USS", "RSS")):
        pairs = [(tieline[index], same[index]) for tieline, same, _ in rounds]
        yield compared(f"idle worker, {kind}, same imports", pairs, unit=" MB")
    pairs = [(tieline[0], least[0]) for tieline, _, least in rounds]
    yield compared("idle worker, USS, against the least imports", pairs, unit=" MB")


async def _tieline(stage: Stage) -> Sizes:
    settings = stage.stores.settings
    queue = uuid.uuid4().hex
    environment = {
        "TIELINE_DATA_DIR": str(settings.data_dir),
        "TIELINE_TEMPORAL_ADDRESS": stage.temporal,
        "TIELINE_TASK_QUEUE": queue,
        "TIELINE_EGRESS_ALLOW": ",".join(settings.egress_allow),
    }
    runs = Runs(await connect(stage.stores, stage.temporal), queue)
    async with python_process("-m", "worker", environment=environment) as process:
        started = await runs.start(OPERATION, REF, await stage.stores.definitions.integration("bench"), trigger="bench")
        await runs.result(started.id)
        return await _sizes(process)


async def _bare(stage: Stage, *modules: str) -> Sizes:
    queue = uuid.uuid4().hex
    client = await Client.connect(stage.temporal)
    async with python_process("-m", "benchmarks.bare_process", stage.temporal, queue, stage.url, *modules) as process:
        await bare_run(client, queue, GET)()
        return await _sizes(process)


async def _sizes(process: int) -> Sizes:
    await asyncio.sleep(SETTLE_SECONDS)
    memory = psutil.Process(process).memory_full_info()
    return memory.uss / 1e6, memory.rss / 1e6


@contextlib.asynccontextmanager
async def python_process(*arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[int]:
    """A process of this interpreter while the body runs; its id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()

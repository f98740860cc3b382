"""What the front door costs: runs started by `POST /v1/runs` against workflows started by a bare Temporal client.

The front door is a process of its own, as in production, without any token and with one. No worker takes the runs up:
only the starts are measured, each of them durable when it is answered.
"""

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping

import httpx2
from temporalio.client import Client

from benchmarks.bare import BareWorkflow
from benchmarks.by_hand import NOTHING
from benchmarks.measure import Comparison, Work, compare, in_flight, per_second
from benchmarks.stage import OPERATION, REF, Stage

START_SECONDS = 60.0
LOADS = {1: 40, 32: 256}
"""Starts of a round, by how many are in flight."""


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    bare_client = await Client.connect(stage.temporal)

    async def bare() -> object:
        return await bare_client.start_workflow(BareWorkflow.run, NOTHING, id=uuid.uuid4().hex, task_queue="nobody")

    async with front_door(stage) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        for at_once in LOADS:
            yield await _against(bare, start(http, {}), "start by HTTP", at_once)
        _, token = await stage.stores.api_tokens.create("bench", ["runs:start"])
        yield await _against(bare, start(http, {"Authorization": f"Bearer {token}"}), "start by HTTP with a token", 32)


async def _against(bare: Work, subject: Work, name: str, at_once: int) -> Comparison:
    sides = [per_second(work, calls=LOADS[at_once], at_once=at_once) for work in (subject, bare)]
    return await compare(f"{name}, {in_flight(at_once)}", *sides, unit="/s", rounds=7)


def start(http: httpx2.AsyncClient, headers: Mapping[str, str]) -> Work:
    """Starts the run that every benchmark makes."""
    operation = {"adapter": REF.adapter, "method": OPERATION.method, "path": OPERATION.path}
    body = {"operation": operation, "profile": REF.profile}

    async def work() -> object:
        answer = await http.post("/v1/runs", json=body, headers=headers)
        return answer.raise_for_status()

    return work


@contextlib.asynccontextmanager
async def front_door(stage: Stage) -> AsyncIterator[str]:
    """`tieline gateway` on the stage's installation; yields its URL."""
    settings = stage.stores.settings
    environment = {
        "TIELINE_DATA_DIR": str(settings.data_dir),
        "TIELINE_TEMPORAL_ADDRESS": stage.temporal,
        "TIELINE_TASK_QUEUE": "nobody",
        "TIELINE_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import cli; cli.main()", "gateway", "-o", "json"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None, "it was asked for"
    try:
        async with asyncio.timeout(START_SECONDS):
            facts: dict[str, str] = json.loads(await process.stdout.readuntil(b"\n}\n"))
        yield facts["http_api"]
    finally:
        process.terminate()
        await process.wait()

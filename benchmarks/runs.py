"""What durability through Tieline costs: runs per second against a bare workflow with one activity.

Both run on the same server, with the workers in this process and the SDK's own defaults. The bare activity makes the
same HTTP call with a pooled client, the token in the program, payloads in clear; so the ratio shows what Tieline adds
around the call: resolving, guarding, encrypting, search attributes, summaries.
"""

from collections.abc import AsyncIterator

from temporalio.client import Client

from benchmarks.by_hand import GET, NOTHING, bare_run, bare_worker
from benchmarks.measure import Comparison, Work, compare, in_flight, per_second
from benchmarks.stage import OPERATION, REF, Stage
from runtime.assembly import connect, open_worker
from runtime.runs import Runs

BARE_QUEUE = "bench-bare"
LOADS = {1: 15, 16: 64, 64: 128}
"""Runs of a round, by how many are in flight."""


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    bare_client = await Client.connect(stage.temporal)
    client = await connect(stage.stores, stage.temporal)
    integration = await stage.stores.definitions.integration("bench")
    runs = Runs(client, stage.stores.settings.task_queue)

    async def tieline() -> object:
        started = await runs.start(OPERATION, REF, integration, trigger="bench")
        return await runs.result(started.id)

    with_call, without = bare_run(bare_client, BARE_QUEUE, GET), bare_run(bare_client, BARE_QUEUE, NOTHING)

    async def against(base: Work, name: str, at_once: int, goal: str = "") -> Comparison:
        sides = [per_second(work, calls=LOADS[at_once], at_once=at_once) for work in (tieline, base)]
        return await compare(f"{name}, {in_flight(at_once)}", *sides, unit="/s", goal=goal, rounds=7)

    async with bare_worker(bare_client, BARE_QUEUE, stage.url), open_worker(stage.stores, client):
        for at_once in LOADS:
            yield await against(with_call, "runs", at_once, "≥ 0.85")
        yield await against(without, "runs, against an empty activity", 16)

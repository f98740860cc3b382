"""What durability through Tieline costs: runs per second against a bare workflow with one activity.

Both run on the same server, worker process, task queue settings and number in flight; the bare activity makes the same
HTTP call with a pooled client and no credential.
"""

import uuid
from datetime import timedelta

import httpx2
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from benchmarks.measure import per_second
from definitions.operation import HttpOperation
from definitions.refs import CredentialRef
from runtime.assembly import Stores, connect, open_worker
from runtime.runs import Runs

ROUNDS = 3


@workflow.defn(name="bench.bare", sandboxed=True)
class BareWorkflow:
    @workflow.run
    async def run(self, url: str) -> str:
        answer: str = await workflow.execute_activity(
            "bench.get", url, result_type=str, start_to_close_timeout=timedelta(seconds=30)
        )
        return answer


async def measure_runs(
    stores: Stores, address: str, url: str, call: CredentialRef, *, count: int, at_once: int
) -> tuple[float, float]:
    """Runs per second of Tieline and of the bare workflow; the best of three rounds each, in turn."""
    bare_client = await Client.connect(address, data_converter=pydantic_data_converter)
    client = await connect(stores, address)
    integration = await stores.definitions.integration("bench")
    operation = HttpOperation(method="GET", path="/")
    runs = Runs(client, stores.settings.task_queue)

    async with httpx2.AsyncClient(trust_env=False) as http:

        @activity.defn(name="bench.get")
        async def get(target: str) -> str:
            return (await http.get(target)).text

        async def bare() -> None:
            await bare_client.execute_workflow(BareWorkflow.run, url, id=uuid.uuid4().hex, task_queue="bench-bare")

        async def tieline() -> None:
            started = await runs.start(operation, call, integration, trigger="bench")
            await runs.result(started.id)

        async with (
            Worker(bare_client, task_queue="bench-bare", workflows=[BareWorkflow], activities=[get]),
            open_worker(stores, client),
        ):
            await per_second(bare, count=at_once, at_once=at_once)
            await per_second(tieline, count=at_once, at_once=at_once)
            pairs = [
                (
                    await per_second(tieline, count=count, at_once=at_once),
                    await per_second(bare, count=count, at_once=at_once),
                )
                for _ in range(ROUNDS)
            ]
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)

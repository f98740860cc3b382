"""The same work without Tieline: a pooled client with the token in the program, and a plain Temporal worker.

Imports nothing of Tieline, so that a process with this alone shows what a worker by hand would hold in memory.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.bare import BareWorkflow
from benchmarks.measure import Work

TOKEN = "a-token-of-the-benchmark"
GET, NOTHING = "bench.get", "bench.nothing"


@contextlib.asynccontextmanager
async def pooled_call(url: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """The call as one would write it by hand: the same request on the wire, the answer parsed."""
    async with httpx2.AsyncClient(trust_env=False) as http:

        async def call() -> object:
            answer: object = (await http.get(url, headers={"Authorization": f"Bearer {TOKEN}"})).json()
            return answer

        yield call


@contextlib.asynccontextmanager
async def bare_worker(client: Client, task_queue: str, url: str) -> AsyncIterator[None]:
    """A worker with default settings, whose activities make that call, or do nothing."""
    async with pooled_call(url) as call:

        @activity.defn(name=GET)
        async def get() -> object:
            return await call()

        @activity.defn(name=NOTHING)
        async def nothing() -> None:
            return None

        async with Worker(client, task_queue=task_queue, workflows=[BareWorkflow], activities=[get, nothing]):
            yield


def bare_run(client: Client, task_queue: str, activity_name: str) -> Work:
    """Starts a bare workflow and waits for its result."""

    async def run() -> object:
        return await client.execute_workflow(
            BareWorkflow.run, activity_name, id=uuid.uuid4().hex, task_queue=task_queue
        )

    return run

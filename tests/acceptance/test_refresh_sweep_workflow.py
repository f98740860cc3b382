"""How the sweep's workflow goes from page to page; its activities are played, Temporal is real."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from definitions.sweep import Batch, Due, Sweep, Tally
from tests.fixtures.tieline import Installation
from workflows.refresh_sweep import PAGES_PER_RUN, RefreshSweepWorkflow

LIMIT = timedelta(seconds=30)


class Pages:
    """Activities that answer as told: so many pages of so many batches, each renewing so many accounts."""

    def __init__(self, pages: int, batches: int = 1, moved: int = 1, broken: bool = False) -> None:
        self._pages = pages
        self._batches = batches
        self._moved = moved
        self._broken = broken
        self.looked = 0

    @activity.defn(name="tieline.due")
    async def due(self) -> Due:
        self.looked += 1
        batches = tuple(Batch(accounts=(f"{n}", "x")) for n in range(self._batches))
        return Due(batches=batches if self.looked <= self._pages else ())

    @activity.defn(name="tieline.renew")
    async def renew(self, batch: Batch) -> Tally:
        if self._broken and batch.accounts[0] == "0":
            raise ApplicationError("the database is away", non_retryable=True)
        return Tally(renewed=self._moved, left=2 - self._moved)


@contextlib.asynccontextmanager
async def started(client: Client, pages: Pages) -> AsyncIterator[WorkflowHandle[RefreshSweepWorkflow, Tally]]:
    queue = f"sweep-{uuid.uuid4().hex[:8]}"
    async with Worker(client, task_queue=queue, activities=[pages.due, pages.renew]):
        yield await client.start_workflow(RefreshSweepWorkflow.run, Sweep(), id=queue, task_queue=queue)


async def swept(client: Client, pages: Pages) -> Tally:
    async with started(client, pages) as handle:
        return await handle.result(rpc_timeout=LIMIT)


async def test_pages_are_read_until_nothing_is_due(idle: Installation) -> None:
    pages = Pages(3, batches=4)
    assert await swept(idle.client, pages) == Tally(renewed=12, left=12)
    assert pages.looked == 4


async def test_a_page_of_which_nothing_moves_is_the_last(idle: Installation) -> None:
    pages = Pages(100, moved=0)
    assert await swept(idle.client, pages) == Tally(left=2)
    assert pages.looked == 1


async def test_a_long_sweep_continues_as_a_new_run_and_keeps_its_count(idle: Installation) -> None:
    pages = Pages(PAGES_PER_RUN + 2)
    async with started(idle.client, pages) as handle:
        tally = await handle.result(rpc_timeout=LIMIT)
        first = idle.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        events = (await first.fetch_history()).events
    assert tally == Tally(renewed=PAGES_PER_RUN + 2, left=PAGES_PER_RUN + 2)
    assert events[-1].HasField("workflow_execution_continued_as_new_event_attributes")
    assert len(events) < 300


async def test_a_batch_that_fails_stops_no_other(idle: Installation) -> None:
    assert await swept(idle.client, Pages(1, batches=3, broken=True)) == Tally(renewed=2, left=4)

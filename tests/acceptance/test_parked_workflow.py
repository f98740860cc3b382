"""How a run's workflow waits for its account: whatever comes first, and whatever comes late. Its calls are played,
Temporal is real."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHandle
from temporalio.worker import Worker

from activities.failures import application_error
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Actor, Call, CallResult, Decision, Failure, RunResult, Verdict, Wake
from runtime.runs import NotWaiting, Runs
from tests.fixtures.tieline import Installation
from tests.fixtures.waiting import until
from workflows.run import RunWorkflow

LIMIT = timedelta(seconds=30)
ANSWERED = CallResult(status=201, account="main")
CALL = Call(
    operation=HttpOperation(method="POST", path="orders"),
    credential=CredentialRef(adapter="shop", profile="production"),
    delivery=Delivery.UNSAFE,
    idempotency_key="k",
)


@dataclass
class Calls:
    """Calls that find the account dead under these tickets, one after another, and are answered then."""

    tickets: tuple[str, ...]
    early: bool = False
    """The run is woken before its call has told that it must wait."""
    seconds: float = 0.0
    """How long each call but the first takes."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    holds_last: bool = False
    made: int = 0

    @activity.defn(name="tieline.http_call")
    async def call(self, call: Call) -> CallResult:
        self.made += 1
        if self.made > 1:
            await asyncio.sleep(self.seconds)
        if self.made > len(self.tickets):
            if self.holds_last:
                await self.held.wait()
            return ANSWERED
        ticket = self.tickets[self.made - 1]
        if self.early:
            run = activity.info().workflow_id
            assert run is not None
            await activity.client().get_workflow_handle(run).signal("wake", Wake(ticket=ticket, because="it works"))
        raise application_error(
            Failure(
                verdict=Verdict.RECONNECT,
                category="needs_reconnect",
                message="dead",
                actor=Actor.OPERATOR,
                suggested_action="connect it again",
                account="main",
                ticket=ticket,
            )
        )


Handle = WorkflowHandle[RunWorkflow, RunResult]


@contextlib.asynccontextmanager
async def running(tieline: Installation, calls: Calls) -> AsyncIterator[Handle]:
    """A run that makes these calls, with a worker of its own."""
    queue = f"parking-{uuid.uuid4().hex[:8]}"
    async with Worker(tieline.client, task_queue=queue, activities=[calls.call]):
        yield await tieline.client.start_workflow(
            RunWorkflow.run, CALL, id=f"run-{uuid.uuid4().hex}", task_queue=queue, memo={"summary": "x"}
        )


async def events(run: Handle, kind: EventType.ValueType) -> list[HistoryEvent]:
    return [event for event in (await run.fetch_history()).events if event.event_type == kind]


async def waits(run: Handle, times: int = 1) -> None:
    """Until it has begun to wait so many times."""

    async def begun() -> bool:
        return len(await events(run, EventType.EVENT_TYPE_TIMER_STARTED)) == times

    await until(begun)


async def wake(run: Handle, ticket: str) -> None:
    """Signal, and wait until the workflow has seen it."""
    before = len(await events(run, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED))
    await run.signal(RunWorkflow.wake, Wake(ticket=ticket, because="it works"))

    async def seen() -> bool:
        return len(await events(run, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)) > before

    await until(seen)


async def test_a_wake_that_comes_before_the_wait_ends_it_at_once(idle: Installation) -> None:
    calls = Calls(("one",), early=True)
    async with running(idle, calls) as run:
        result = await asyncio.wait_for(run.result(), 30)
    assert (result.call, calls.made) == (ANSWERED, 2)


async def test_a_late_wake_of_an_earlier_wait_does_not_end_this_one(idle: Installation) -> None:
    calls = Calls(("one", "two"))
    async with running(idle, calls) as run:
        await waits(run)
        await wake(run, "one")
        await waits(run, 2)
        await wake(run, "one")
        after_the_late_one = calls.made
        await wake(run, "two")
        await asyncio.wait_for(run.result(), 30)
    assert (after_the_late_one, calls.made) == (2, 3)


async def test_a_run_that_is_woken_twice_makes_its_call_once(idle: Installation) -> None:
    calls = Calls(("one",))
    async with running(idle, calls) as run:
        await waits(run)
        for _ in range(2):
            await run.signal(RunWorkflow.wake, Wake(ticket="one", because="it works"))
        await asyncio.wait_for(run.result(), 30)
    assert calls.made == 2


async def test_the_time_to_give_up_counts_from_the_first_wait(idle: Installation) -> None:
    calls = Calls(("one", "two"), seconds=2.0)
    async with running(idle, calls) as run:
        await waits(run)
        await wake(run, "one")
        await waits(run, 2)
        first, second = await events(run, EventType.EVENT_TYPE_TIMER_STARTED)
        await wake(run, "two")
        await asyncio.wait_for(run.result(), 30)
    shorter = length(first) - length(second)
    between = second.event_time.ToDatetime() - first.event_time.ToDatetime()
    assert length(first) == timedelta(days=30)
    assert shorter.total_seconds() == pytest.approx(between.total_seconds(), abs=1.0)


async def test_a_decision_that_comes_after_the_wake_is_refused(idle: Installation) -> None:
    calls = Calls(("one",), holds_last=True)
    async with running(idle, calls) as run:
        await waits(run)
        await wake(run, "one")
        await until(lambda: calls.made == 2)
        with pytest.raises(NotWaiting):
            await Runs(idle.client, "x").decide(run.id, Decision(action="skip", who="ann", why="sent by hand"))
        calls.held.set()
        result = await asyncio.wait_for(run.result(), 30)
    assert result.call == ANSWERED


async def test_a_decision_to_send_again_makes_the_call_though_nobody_connected(idle: Installation) -> None:
    calls = Calls(("one",))
    async with running(idle, calls) as run:
        await waits(run)
        await Runs(idle.client, "x").decide(run.id, Decision(action="retry", who="ann", why="it works now"))
        result = await asyncio.wait_for(run.result(), 30)
    assert (result.call, calls.made) == (ANSWERED, 2)


def length(timer: HistoryEvent) -> timedelta:
    return timer.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()

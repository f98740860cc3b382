"""The Temporal Schedule that starts the refresh sweep: one for each task queue, kept right by every worker's start."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from definitions.sweep import Sweep
from workflows.refresh_sweep import RefreshSweepWorkflow

EVERY = timedelta(seconds=30)
"""A token of five minutes, the shortest that is renewed ahead, is due 45 seconds before its end at the latest."""

CATCH_UP = timedelta(minutes=2)
"""After an outage one sweep finds all that is due: the ones that were missed need not be made up for."""

RUN_TIMEOUT = timedelta(minutes=30)


class ScheduleRefused(Exception):
    """The server does not let this client keep schedules; the message says what follows from that."""


@dataclass(frozen=True, slots=True)
class SweepState:
    """What the server knows of the sweep. `last` is the start of the latest one."""

    last: datetime | None
    next: datetime | None
    paused: bool
    note: str | None


def sweep_id(task_queue: str) -> str:
    """Id of the schedule; its workflows have the same, with the time of their start behind it."""
    return f"tieline-refresh-{task_queue}"


async def keep_sweep(client: Client, task_queue: str) -> None:
    """Create the schedule, or correct the one that is there; one that an operator paused stays paused.

    Raises:
        ScheduleRefused: this client may not do that.
    """
    wanted = _schedule(task_queue)
    try:
        await client.create_schedule(sweep_id(task_queue), wanted)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(sweep_id(task_queue)).update(lambda found: _corrected(found, wanted))
    except RPCError as error:
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        raise ScheduleRefused(
            f"the refresh sweep cannot be scheduled in namespace {client.namespace!r} ({error.message}): tokens are "
            "renewed on demand only; give this client the right to keep schedules"
        ) from None


async def sweep_state(client: Client, task_queue: str) -> SweepState | None:
    """None: there is no schedule."""
    try:
        found = await client.get_schedule_handle(sweep_id(task_queue)).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    recent, info = found.info.recent_actions, found.info
    return SweepState(
        last=recent[-1].started_at if recent else None,
        next=info.next_action_times[0] if info.next_action_times else None,
        paused=found.schedule.state.paused,
        note=found.schedule.state.note,
    )


def _schedule(task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            RefreshSweepWorkflow.run,
            Sweep(),
            id=sweep_id(task_queue),
            task_queue=task_queue,
            run_timeout=RUN_TIMEOUT,
            static_summary="renew the tokens that are due",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )


def _corrected(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate | None:
    before = found.description.schedule
    return ScheduleUpdate(dataclasses.replace(wanted, state=before.state))

"""Runs whose call Temporal repeats. In lists they are under way like all others: each has to be asked for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from runtime.codec import UndecodablePayload
from runtime.runs import RunSummary
from workflows.endings import attempt_text, told_by

AT_ONCE = 20
"""Questions to Temporal."""
UNANSWERED = timedelta(minutes=2)
"""An attempt that has been under way for longer gets on: a server that does not answer is left before."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """One of them, after an attempt that failed."""

    run: RunSummary
    attempt: int
    """The one that is next, or under way."""
    through: str
    """The account, as far as the attempt knew it."""
    why: str
    next_step: str
    tried: datetime
    due: datetime | None
    """None: an attempt is under way."""


async def retrying(client: Client, runs: Sequence[RunSummary]) -> list[Retrying]:
    """Those among these runs."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask(run: RunSummary) -> Retrying | None:
        async with turn:
            return await _asked(client, run)

    return [each for each in await asyncio.gather(*map(ask, runs)) if each is not None]


async def _asked(client: Client, run: RunSummary) -> Retrying | None:
    try:
        description = await client.get_workflow_handle(run.id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    pending = description.raw_description.pending_activities
    failed = [each for each in pending if each.HasField("last_failure") and _does_not_get_on(each)]
    return await _told(client, run, failed[0]) if failed else None


def _does_not_get_on(activity: PendingActivityInfo) -> bool:
    started = activity.last_started_time.ToDatetime(tzinfo=UTC)
    return _is_due(activity) or datetime.now(UTC) - started < UNANSWERED


def _is_due(activity: PendingActivityInfo) -> bool:
    return activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED


async def _told(client: Client, run: RunSummary, activity: PendingActivityInfo) -> Retrying | None:
    try:
        error = await client.data_converter.decode_failure(activity.last_failure)
    except UndecodablePayload:  # a run of another installation
        return None
    failure = told_by(error)
    account = failure.account if failure else None
    return Retrying(
        run=run,
        attempt=activity.attempt,
        through=f"account {account}" if account else f"adapter {run.adapter} of profile {run.profile}",
        why=attempt_text(error).removeprefix(f"{run.summary}: "),
        next_step=failure.suggested_action if failure else "look at the log of the workers",
        tried=activity.last_started_time.ToDatetime(tzinfo=UTC),
        due=activity.scheduled_time.ToDatetime(tzinfo=UTC) if _is_due(activity) else None,
    )

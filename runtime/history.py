"""A run's history as an operator reads it: one line per thing that happened, oldest first."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, PendingActivityState, PendingWorkflowTaskState
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription, WorkflowHandle
from temporalio.converter import DataConverter

from activities.progress import Moved, Told, moved
from definitions.run import AnyCall, CallResult, Decision, Failure, RunResult, SftpCall, Verdict, Wake
from definitions.sftp import SftpDownload, SftpResult, SftpUpload
from workflows.endings import attempt_text, failure_of, told_by

_VERDICTS = {
    Verdict.AGAIN: "to be sent again",
    Verdict.UNKNOWN: "outcome unknown",
    Verdict.FINAL: "failed for good",
    Verdict.RECONNECT: "waits for its account",
}


SFTP, TRUST, CLEAN_UP = "tieline.sftp", "tieline.trust_host_key", "tieline.sftp_clean_up"
"""Activities, as histories name them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, or, without an end, that is going on. `queued`: it waits for a worker to take it up."""

    at: datetime
    what: str
    failure: Failure | None = None
    queued: bool = False
    moved: Moved | None = None
    """Of a transfer that is under way."""


async def steps_of(
    handle: WorkflowHandle[Any, Any], description: WorkflowExecutionDescription, converter: DataConverter
) -> list[Step]:
    """Read the history and what is pending; needs the keys, but no worker."""
    reader = _Reader(converter)
    steps = [step async for event in handle.fetch_history_events() if (step := await reader.read(event))]
    pending = description.raw_description.pending_activities
    steps += [step for activity in pending if (step := await reader.pending(activity))]
    return steps + _queued(description)


def _queued(description: WorkflowExecutionDescription) -> list[Step]:
    """Work that no worker has taken up yet; while one is there, this lasts milliseconds."""
    task = description.raw_description.pending_workflow_task
    if task.state != PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED:
        return []
    return [Step(_utc(task.scheduled_time), "waits for a worker", queued=True)]


class _Reader:
    def __init__(self, converter: DataConverter) -> None:
        self._converter = converter
        self._call: AnyCall | None = None
        self._kinds: dict[int, str] = {}
        """Of the activities, by the number of the event that scheduled them."""

    async def read(self, event: HistoryEvent) -> Step | None:
        """The line for one event; None for the bookkeeping in between."""
        at = _utc(event.event_time)
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                arguments = event.workflow_execution_started_event_attributes.input.payloads
                self._call = await self._one(arguments, AnyCall)
                return Step(at, "started")
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                self._kinds[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
                what = "" if self._kinds[event.event_id] == CLEAN_UP else "call  "
                return Step(at, f"{what}{await self._summary(event)}")
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                return Step(at, await self._answered(event))
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                return await self._failed(at, event.activity_task_failed_event_attributes)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                return await self._failed(at, event.activity_task_timed_out_event_attributes)
            case EventType.EVENT_TYPE_TIMER_STARTED:
                seconds = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
                return Step(at, f"wait {_span(seconds)}, then {await self._summary(event)}")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                return Step(at, await self._woken(event))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                return Step(at, await self._decided(event))
            case _:
                return await self._ended(at, event)

    async def pending(self, activity: PendingActivityInfo) -> Step | None:
        """What Temporal's own retries are doing; they leave no events until the activity ends."""
        scheduled = activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        if activity.attempt <= 1 and scheduled:
            return Step(_utc(activity.scheduled_time), "waits for a worker", queued=True)
        after, last = "", None
        if activity.HasField("last_failure"):
            error = await self._converter.decode_failure(activity.last_failure)
            after, last = f", after: {attempt_text(error)}", told_by(error)
        what = f"attempt {activity.attempt} is under way"
        if scheduled:
            due = _utc(activity.scheduled_time) if activity.HasField("scheduled_time") else None
            what = f"attempt {activity.attempt} at {due:%H:%M:%S}" if due else f"attempt {activity.attempt} is due"
        at = _utc(activity.last_started_time) if activity.HasField("last_started_time") else datetime.now(UTC)
        return Step(at, what + after, last, moved=await self._moved(activity))

    async def _moved(self, activity: PendingActivityInfo) -> Moved | None:
        if not isinstance(self._call, SftpCall) or not activity.HasField("heartbeat_details"):
            return None
        operation = self._call.operation
        count = len(operation.files) if isinstance(operation, SftpUpload) else None
        if isinstance(operation, SftpDownload) and not operation.glob:
            count = len(operation.paths)
        told = await self._one(activity.heartbeat_details.payloads, Told)
        return None if told is None else moved(told, count)

    async def _ended(self, at: datetime, event: HistoryEvent) -> Step | None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                result = await self._one(event.workflow_execution_completed_event_attributes.result.payloads, RunResult)
                return Step(
                    at, "completed" if result is None or result.decision is None else "completed with a decided value"
                )
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                raw = event.workflow_execution_failed_event_attributes.failure
                return Step(at, "failed", told_by(await self._converter.decode_failure(raw)))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                return Step(at, "cancel requested")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
                return Step(at, "cancelled")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                return Step(at, "terminated")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
                return Step(at, "timed out")
            case _:
                return None

    async def _answered(self, event: HistoryEvent) -> str:
        attributes = event.activity_task_completed_event_attributes
        kind = self._kinds.get(attributes.scheduled_event_id)
        if kind == TRUST:
            return "the host key is trusted from now on"
        if kind == CLEAN_UP:
            return "looked after what was unfinished"
        if kind == SFTP:
            return _transferred(await self._one(attributes.result.payloads, SftpResult))
        result = await self._one(attributes.result.payloads, CallResult)
        if result is None:
            return "answered"
        attempts = f", attempt {result.attempt}" if result.attempt > 1 else ""
        return f"answered {result.status} through account {result.account}{attempts}"

    async def _woken(self, event: HistoryEvent) -> str:
        wake = await self._one(event.workflow_execution_signaled_event_attributes.input.payloads, Wake)
        return f"woken: {wake.because}" if wake else "woken"

    async def _decided(self, event: HistoryEvent) -> str:
        request = event.workflow_execution_update_accepted_event_attributes.accepted_request
        decision = await self._one(request.input.args.payloads, Decision)
        return f"decided {decision.action} by {decision.who}: {decision.why}" if decision else "decided"

    async def _failed(self, at: datetime, attributes: Any) -> Step:
        if self._kinds.get(attributes.scheduled_event_id) == CLEAN_UP:
            return Step(at, "what was unfinished could not be taken away")
        assert self._call is not None, "a history begins with what it was started with"
        failure = failure_of(await self._converter.decode_failure(attributes.failure), self._call)
        verdict = "waits for a decision" if failure.host_key else _VERDICTS[failure.verdict]
        return Step(at, f"{verdict}: {failure.message}", failure)

    async def _summary(self, event: HistoryEvent) -> str:
        if not event.HasField("user_metadata") or not event.user_metadata.HasField("summary"):
            return ""
        return await self._one([event.user_metadata.summary], str) or ""

    async def _one(self, payloads: Any, type_: Any) -> Any:
        items: list[Payload] = list(payloads)
        if not items:
            return None
        decoded = await self._converter.decode(items[:1], [type_])
        return decoded[0]


def _transferred(result: SftpResult) -> str:
    attempts = f", attempt {result.attempt}" if result.attempt > 1 else ""
    resumed = f", resumed from byte {result.resumed_from}" if result.resumed_from else ""
    return f"{result.message} (account {result.account}{attempts}{resumed})"


def _span(length: timedelta) -> str:
    """The two largest units that are not zero: `30d`, `6h 5m`, `0.5s`."""
    left = length.total_seconds()
    if left < 1:
        return f"{left:.1g}s"
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, size)
        parts += [f"{count:.0f}{unit}"] if count else []
    return " ".join(parts[:2])


def _utc(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)

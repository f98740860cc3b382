"""Runs from the outside: start, wait for, list, look at, decide about and cancel them.

There is no second table of runs: what stands here is asked of Temporal.
"""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, CancelledError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from definitions.integration import Integration
from definitions.operation import HttpOperation, delivery_of
from definitions.refs import CredentialRef
from definitions.run import (
    AnyCall,
    AnyOperation,
    Call,
    Decision,
    Failure,
    RunResult,
    RunState,
    SftpCall,
    Waiting,
    idempotency_key,
)
from definitions.sftp import SftpUpload
from runtime.binding import check_fits
from runtime.codec import UndecodablePayload
from runtime.history import Step, steps_of
from runtime.pollers import is_polled
from runtime.run_filter import RunFilter
from storage.assets import AssetStore
from storage.errors import AssetMissing
from workflows.attributes import ACCOUNT, ADAPTER, DEFINITION, PROFILE, STATE, TRIGGER
from workflows.run import RunWorkflow

DECIDE_WITHIN = timedelta(seconds=20)
"""A worker that lives takes a decision up within milliseconds."""


class RunError(Exception):
    """Something about a run that the caller must know; the message says what to do."""


class RunNotFound(RunError):
    """No run has this id, or its retention has passed."""


class KeyConflict(RunError):
    """The key was used before for a different operation."""


class UnfitAsset(RunError):
    """The operation names an asset that is not there, or is not what the operation says of it."""

    action = "put the file, and name the asset as it was answered: sha256 and size"


class NotWaiting(RunError):
    """A decision was given to a run that does not wait for one."""


class HasEnded(RunError):
    """The run has ended: nothing can be done to it any more."""


class NoWorker(RunError):
    """What was asked of a run needs a worker, and none took it up."""


class RunFailed(RunError):
    """The run ended without an answer."""

    def __init__(self, run_id: str, failure: Failure, decision: Decision | None = None) -> None:
        super().__init__(failure.message)
        self.run_id = run_id
        self.failure = failure
        self.decision = decision


class RunCancelled(RunError):
    """The run was cancelled."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run that was started now, or found under its key."""

    id: str
    summary: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of a list of runs. `state` is Temporal's status, or the waiting state of a run under way."""

    id: str
    summary: str
    state: str
    adapter: str | None
    profile: str | None
    definition: str | None
    trigger: str | None
    task_queue: str
    started: datetime
    closed: datetime | None
    account: str | None = None
    """The one that a run off the happy path has to do with."""
    waiting: Waiting | None = None
    """What a run waits for that waits for its account, or with a host key."""


class Runs:
    """The runs of one installation. Without its `assets`, what a run is to send is held when its call is made first."""

    def __init__(self, client: Client, task_queue: str, assets: AssetStore | None = None) -> None:
        self._client = client
        self._task_queue = task_queue
        self._assets = assets

    async def start(
        self,
        operation: AnyOperation,
        credential: CredentialRef,
        integration: Integration,
        *,
        key: str | None = None,
        trigger: str = "cli",
    ) -> Started:
        """Start a run, or find the one that was started with the same key through the same adapter and profile.

        Raises:
            KeyConflict: the key belongs to a run of another operation.
            Unfit: the adapter's integration speaks another protocol.
            UnfitAsset: an asset that the operation names is not there.
        """
        check_fits(operation, integration, credential.adapter)
        run_id = run_id_for(credential, key)
        call = _call(operation, credential, integration, idempotency_key(run_id))
        fingerprint = hashlib.sha256(operation.model_dump_json().encode()).hexdigest()
        try:
            await self._hold(operation, run_id)
        except AssetMissing as error:
            # What was started before stays found, though its assets may be gone by now.
            if key is None or not await self._exists(self._client.get_workflow_handle_for(RunWorkflow.run, run_id)):
                raise UnfitAsset(str(error)) from None
            return await self._found(run_id, fingerprint, key)
        try:
            await self._client.start_workflow(
                RunWorkflow.run,
                call,
                id=run_id,
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                memo={"summary": call.summary, "operation": fingerprint},
                search_attributes=_attributes(credential, integration.key, trigger),
                static_summary=call.summary,
                priority=Priority(fairness_key=credential.fairness_key),
            )
        except WorkflowAlreadyStartedError:
            return await self._found(run_id, fingerprint, key)
        return Started(run_id, call.summary, duplicate=False)

    async def result(self, run_id: str, *, timeout: timedelta | None = None) -> RunResult:
        """Wait for a run to end.

        Raises:
            RunFailed, RunCancelled: it ended without an answer.
            TimeoutError: it has not ended within `timeout`.
            RunNotFound: no run has this id.
        """
        handle: WorkflowHandle[RunWorkflow, RunResult] = self._client.get_workflow_handle_for(RunWorkflow.run, run_id)
        try:
            # The SDK's own limit is one for each of its polls, which it repeats.
            async with asyncio.timeout(timeout.total_seconds() if timeout else None):
                return await handle.result()
        except TimeoutError:
            raise TimeoutError(f"run {run_id} has not ended within {timeout}") from None
        except WorkflowFailureError as error:
            raise _ended_badly(run_id, error) from None
        except RPCError as error:
            raise _rpc_error(run_id, error) from None

    async def list(self, which: RunFilter, *, limit: int = 50) -> AsyncIterator[RunSummary]:
        """Runs under way first, then those that have ended, each the newest first: Temporal's order."""
        async for execution in self._client.list_workflows(which.query(), limit=limit):
            yield await _summary(execution)

    async def page(
        self, which: RunFilter, *, limit: int, token: bytes | None = None
    ) -> tuple[Sequence[RunSummary], bytes | None]:
        """One page of the same, and the token with which the next one is asked for; None after the last."""
        found = self._client.list_workflows(which.query(), page_size=limit, next_page_token=token)
        await found.fetch_next_page()
        return [await _summary(execution) for execution in found.current_page or ()], found.next_page_token or None

    async def count(self, which: RunFilter) -> int:
        """How many there are."""
        return (await self._client.count_workflows(which.query())).count

    async def summary(self, run_id: str) -> RunSummary:
        """One run as it is now. Raises RunNotFound."""
        try:
            return await _summary(await self._client.get_workflow_handle(run_id).describe())
        except RPCError as error:
            raise _rpc_error(run_id, error) from None

    async def show(self, run_id: str) -> tuple[RunSummary, Sequence[Step]]:
        """One run and its history, readable without a worker."""
        handle = self._client.get_workflow_handle(run_id)
        try:
            description = await handle.describe()
            return await _summary(description), await steps_of(handle, description, self._client.data_converter)
        except RPCError as error:
            raise _rpc_error(run_id, error) from None

    async def decide(self, run_id: str, decision: Decision) -> None:
        """Give a waiting run its decision.

        Raises:
            NotWaiting: it does not wait for one.
            RunNotFound: no run has this id.
            NoWorker: no worker has taken it up.
        """
        handle: WorkflowHandle[RunWorkflow, RunResult] = self._client.get_workflow_handle_for(RunWorkflow.run, run_id)
        try:
            await handle.execute_update(RunWorkflow.decide, decision, rpc_timeout=DECIDE_WITHIN)
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            raise NoWorker(
                f"run {run_id}: no worker took up the decision within {DECIDE_WITHIN.seconds} seconds; it may still "
                f"arrive. See tieline doctor, then tieline runs show {run_id}"
            ) from None
        except WorkflowUpdateFailedError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == "NoHostKey":
                raise NotWaiting(
                    f"run {run_id} does not wait with a host key, so there is none to trust: tieline runs show {run_id}"
                ) from None
            raise NotWaiting(f"run {run_id} is not waiting for a decision: tieline runs show {run_id}") from None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and await self._exists(handle):
                raise NotWaiting(f"run {run_id} has ended: tieline runs show {run_id}") from None
            raise _rpc_error(run_id, error) from None

    async def cancel(self, run_id: str) -> None:
        """Cancel a run; twice is the same as once.

        Raises:
            HasEnded: it came to another end before.
            RunNotFound: no run has this id.
        """
        handle = self._client.get_workflow_handle(run_id)
        try:
            run = await _summary(await handle.describe())
            if run.closed is None:
                await handle.cancel()
        except RPCError as error:
            raise _rpc_error(run_id, error) from None
        if run.closed is not None and run.state != "cancelled":
            raise HasEnded(f"run {run_id} has ended ({run.state}), so nothing was cancelled")

    async def has_worker(self, run: RunSummary) -> bool:
        """Whether any worker asks for work on the run's task queue."""
        return await is_polled(self._client, run.task_queue)

    async def _hold(self, operation: AnyOperation, run_id: str) -> None:
        """Before the run begins: it may wait for a worker, or for its account, longer than files are kept."""
        if self._assets is not None and isinstance(operation, HttpOperation | SftpUpload) and operation.assets:
            await self._assets.hold_all(operation.assets, run_id)

    async def _found(self, run_id: str, fingerprint: str, key: str | None) -> Started:
        description = await self._client.get_workflow_handle(run_id).describe()
        memo = await description.memo()
        if memo.get("operation") != fingerprint:
            raise KeyConflict(
                f"key {key!r} was already used for another operation through this adapter and profile (run {run_id}): "
                "use a new key for a new operation"
            )
        return Started(run_id, str(memo.get("summary", "")), duplicate=True)

    async def _exists(self, handle: WorkflowHandle[RunWorkflow, RunResult]) -> bool:
        try:
            await handle.describe()
        except RPCError:
            return False
        return True


def _call(operation: AnyOperation, credential: CredentialRef, integration: Integration, key: str) -> AnyCall:
    if not isinstance(operation, HttpOperation):
        return SftpCall(operation=operation, credential=credential, idempotency_key=key)
    header = integration.idempotency.header if integration.idempotency else None
    delivery = delivery_of(operation, idempotency_header=header)
    return Call(operation=operation, credential=credential, delivery=delivery, idempotency_key=key)


def run_id_for(credential: CredentialRef, key: str | None) -> str:
    """Deterministic for a caller's key, scoped by adapter, profile and subject; the key itself stays out of it,
    because ids are not encrypted."""
    if key is None:
        return f"run-{uuid.uuid4().hex}"
    scope = "\x1f".join((credential.adapter, credential.profile, credential.subject or "", key))
    return f"run-{hashlib.sha256(scope.encode()).hexdigest()[:32]}"


def _attributes(credential: CredentialRef, definition: str, trigger: str) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(ADAPTER, credential.adapter),
            SearchAttributePair(PROFILE, credential.profile),
            SearchAttributePair(DEFINITION, definition),
            SearchAttributePair(TRIGGER, trigger),
        ]
    )


async def _summary(execution: WorkflowExecution) -> RunSummary:
    attributes = execution.typed_search_attributes
    status = (execution.status or WorkflowExecutionStatus.RUNNING).name.lower()
    state = attributes.get(STATE) or status if status == "running" else status
    return RunSummary(
        id=execution.id,
        summary=await _memo_summary(execution),
        state="cancelled" if state == "canceled" else state,
        adapter=attributes.get(ADAPTER),
        profile=attributes.get(PROFILE),
        definition=attributes.get(DEFINITION),
        trigger=attributes.get(TRIGGER),
        task_queue=execution.task_queue,
        started=execution.start_time,
        closed=execution.close_time,
        account=attributes.get(ACCOUNT),
        waiting=await _waiting(execution) if state in _WAITS else None,
    )


async def _memo_summary(execution: WorkflowExecution) -> str:
    """One run that another installation's keys encrypt must not hide the others."""
    try:
        return str((await execution.memo()).get("summary", ""))
    except UndecodablePayload:
        return "(encrypted with a key that is not here)"


async def _waiting(execution: WorkflowExecution) -> Waiting | None:
    try:
        told = await execution.memo_value("waiting", None)
    except UndecodablePayload:
        return None
    return None if told is None else Waiting.model_validate(told)


_WAITS = (RunState.WAITING_FOR_RECONNECT, RunState.WAITING_FOR_DECISION)
"""In which a run may wait for its account, or for a word about the key of its server."""


def _ended_badly(run_id: str, error: WorkflowFailureError) -> RunError:
    cause = error.cause
    if isinstance(cause, CancelledError):
        return RunCancelled(f"run {run_id} was cancelled")
    if isinstance(cause, ApplicationError) and cause.details:
        failure, *decision = cause.details
        return RunFailed(
            run_id, Failure.model_validate(failure), Decision.model_validate(decision[0]) if decision else None
        )
    return RunError(f"run {run_id} ended: {cause or error}")


def _rpc_error(run_id: str, error: RPCError) -> RunError | RPCError:
    if "Namespace" in error.message:
        return error
    if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
        return RunNotFound(f"there is no run {run_id}: tieline runs list shows those that are kept")
    return error

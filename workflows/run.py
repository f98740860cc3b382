"""The run of one operation, from its start to its answer, its failure or somebody's decision.

    call ──answered──────────────────────────────► done
     │ ▲
     │ └─ wait ◄── surely not performed (refused before sending, 429, 503 with Retry-After, …)
     │
     ├── the account is dead ──► wait until it is well again (or for a decision), then the same call
     ├── another host key than the confirmed one ──► wait for a decision: trust it, or as below
     ├── may have been performed, must not be repeated ──► wait for a decision ──► retry │ skip │ fail
     └── final error ──► fail, or wait for a decision (`on_failure: park`)

What is safe to repeat is repeated by Temporal's own retry policy inside the activity's schedule. What is not runs with
one attempt, so that the decision to send again rests on what Temporal durably knows, whatever is killed when.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.host_keys import HostKeyActivities, Trust
    from activities.http import HttpActivities
    from activities.sftp import SftpActivities
    from definitions.run import (
        AnyCall,
        Call,
        Decision,
        Failure,
        RunResult,
        RunState,
        SftpCall,
        Verdict,
        Waiting,
        Wake,
    )

from workflows.attributes import ACCOUNT, STATE
from workflows.endings import failure_of, progress_of, too_late
from workflows.options import call_options, clean_up_options, storing_options, wait_before

LEAVES_FILES = frozenset({"sftp.upload", "sftp.copy", "sftp.move"})
"""Operations whose unfinished files, or files that made way, may be on a server when no attempt is under way."""


@workflow.defn(name="tieline.run")
class RunWorkflow:
    """One operation as a durable run."""

    def __init__(self) -> None:
        self._question: Failure | None = None
        self._decision: Decision | None = None
        self._progress: Any = None
        """What a transfer had done before the run waited."""
        self._woken: set[str] = set()
        """Tickets of waits that are over; one may come before the wait that it ends."""

    @workflow.run
    async def run(self, call: AnyCall) -> RunResult:
        """Make the call; wait and send again where that is safe; ask where it is not."""
        try:
            result = await self._run(call)
        except (FailureError, asyncio.CancelledError):
            # All else is a fault of ours, which is mended while the run goes on.
            await self._clean_up(call)
            raise
        if result.sftp is None:
            await self._clean_up(call)
        return result

    async def _run(self, call: AnyCall) -> RunResult:
        info = workflow.info()
        call = call.model_copy(update={"after_reset": info.run_id != info.original_execution_run_id})
        give_up_at = info.workflow_start_time + call.operation.give_up_after
        attempt, parked_at = 0, None
        while True:
            attempt += 1
            outcome = await self._call(call, give_up_at - workflow.now())
            if isinstance(outcome, RunResult):
                return outcome
            if outcome.verdict is Verdict.AGAIN:
                delay = wait_before(attempt, outcome.retry_after)
                if workflow.now() + delay < give_up_at:
                    await self._wait(delay, outcome)
                    continue
                outcome = _gave_up(outcome, call)
            if outcome.verdict is Verdict.RECONNECT:
                # A look at an account that is still dead does not begin the wait anew.
                parked_at = parked_at or workflow.now()
                decision = await self._wait_for_account(outcome, parked_at, call)
                if decision is None:
                    give_up_at, attempt = workflow.now() + call.operation.give_up_after, 0
                    continue
            elif outcome.verdict is Verdict.FINAL and call.operation.on_failure == "fail":
                raise _run_failure(outcome)
            else:
                decision = await self._ask(outcome, call.operation.park_for)
            parked_at = None
            if decision.action == "skip":
                return RunResult(decision=decision)
            if decision.action == "fail":
                raise _run_failure(outcome, decision)
            give_up_at, attempt = workflow.now() + call.operation.give_up_after, 0
            call = call.model_copy(update={"after_reset": False})

    @workflow.update(name="decide")
    def decide(self, decision: Decision) -> None:
        """Answer the question that this run waits with; refused while it does not wait."""
        self._decision = decision

    @workflow.signal(name="wake")
    def wake(self, wake: Wake) -> None:
        """The account that this run waits for is well again, or another one is bound."""
        self._woken.add(wake.ticket)

    @decide.validator
    def _may_decide(self, decision: Decision) -> None:
        if self._question is None or self._decision is not None:
            raise ApplicationError("the run is not waiting for a decision", type="NotWaiting")
        if decision.action == "trust" and self._question.host_key is None:
            raise ApplicationError("the run does not wait with a host key that could be trusted", type="NoHostKey")

    async def _call(self, call: AnyCall, time_left: timedelta) -> RunResult | Failure:
        if time_left <= timedelta() and not call.after_reset:
            return too_late(call)
        options = call_options(call, max(time_left, timedelta(seconds=1)))
        try:
            if isinstance(call, Call):
                return RunResult(call=await workflow.execute_activity_method(HttpActivities.call, call, **options))
            going_on = call.model_copy(update={"progress": self._progress})
            return RunResult(sftp=await workflow.execute_activity_method(SftpActivities.operate, going_on, **options))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            told = progress_of(error.cause)
            self._progress = self._progress if told is None else told
            return failure_of(error.cause, call)

    async def _clean_up(self, call: AnyCall) -> None:
        """An attempt that fails for good, or is cancelled, does so itself; here none may be under way.

        Runs that ended before there was this have nothing of it in their histories.
        """
        if isinstance(call, SftpCall) and call.operation.type in LEAVES_FILES and workflow.patched("clean-up"):
            left = call.model_copy(update={"progress": self._progress})
            with contextlib.suppress(ActivityError):
                options = clean_up_options(call)
                await workflow.execute_activity_method(SftpActivities.clean_up, left, **options)

    async def _wait(self, delay: timedelta, because: Failure) -> None:
        self._show(RunState.WAITING_TO_RETRY, because)
        await workflow.sleep(delay, summary=f"send again · {because.category}")

    async def _ask(self, question: Failure, park_for: timedelta) -> Decision:
        """Wait, for days if need be, until somebody decides."""
        self._question, self._decision = question, None
        self._show(RunState.WAITING_FOR_DECISION, question)
        if workflow.memo_value("waiting", None) is not None:
            workflow.upsert_memo({"waiting": None})  # of its account, before this
        try:
            await workflow.wait_condition(
                lambda: self._decision is not None, timeout=park_for, timeout_summary="give up waiting for a decision"
            )
        except TimeoutError:
            raise _run_failure(_in_vain(question, "nobody decided in time")) from None
        finally:
            self._question = None
        assert self._decision is not None
        self._show(RunState.RUNNING, question)
        return self._decision

    async def _trust(self, question: Failure, decision: Decision) -> None:
        """Take the key that the server presented for its own, from now on and for all runs of the account."""
        assert question.host_key is not None, "the validator has looked"
        assert question.account is not None, "a server was asked with an account"
        trust = Trust(account=question.account, change=question.host_key, who=decision.who, why=decision.why)
        options = storing_options(f"trust host key {question.host_key.presented}")
        await workflow.execute_activity_method(HostKeyActivities.trust, trust, **options)

    async def _wait_for_account(self, dead: Failure, since: datetime, call: AnyCall) -> Decision | None:
        """Wait until the account is well, or the key that it met is trusted (None); somebody may decide before."""
        time_left = since + call.operation.park_for - workflow.now()
        self._question, self._decision = dead, None
        self._show(RunState.WAITING_FOR_DECISION if dead.host_key else RunState.WAITING_FOR_RECONNECT, dead)
        waiting = Waiting(
            account=dead.account,
            message=dead.message.removeprefix(f"{call.summary}: "),
            since=since,
            next_step=dead.suggested_action.replace("decide RUN", f"decide {workflow.info().workflow_id}"),
            host_key=dead.host_key,
        )
        awaited, done = "the account", "connected the account"
        if dead.host_key:
            awaited, done = "a decision about the host key", "decided about the host key"
        workflow.upsert_memo({"waiting": waiting.model_dump(mode="json")})
        try:
            await workflow.wait_condition(
                lambda: self._decision is not None or dead.ticket in self._woken,
                timeout=max(time_left, timedelta(seconds=1)),
                timeout_summary=f"give up waiting for {awaited}",
            )
        except TimeoutError:
            raise _run_failure(_in_vain(dead, f"nobody {done} in time")) from None
        finally:
            self._question = None
        self._show(RunState.RUNNING, dead)
        if self._decision is not None and self._decision.action == "trust":
            await self._trust(dead, self._decision)
            return None
        return self._decision

    def _show(self, state: RunState, because: Failure) -> None:
        """Make the state visible in lists and in Temporal's UI; only runs off the happy path pay for it."""
        account = [ACCOUNT.value_set(because.account)] if because.account else []
        workflow.upsert_search_attributes([STATE.value_set(state.value), *account])
        workflow.set_current_details(
            f"**{state.value.replace('_', ' ')}** since {workflow.now():%Y-%m-%d %H:%M:%S} UTC\n\n"
            f"{because.message}\n\nWho must act: {because.actor.value}. Next step: {because.suggested_action}"
        )


def _gave_up(last: Failure, call: AnyCall) -> Failure:
    return last.model_copy(
        update={
            "verdict": Verdict.FINAL,
            "message": f"gave up after {call.operation.give_up_after}: {last.message}",
            "suggested_action": "start the run again when the provider answers, or give it a longer give_up_after",
        }
    )


def _in_vain(question: Failure, why: str) -> Failure:
    return question.model_copy(update={"message": f"{why}: {question.message}"})


def _run_failure(failure: Failure, decision: Decision | None = None) -> ApplicationError:
    """How a run fails: with what happened, and with who decided it if somebody did."""
    details = [failure.model_dump(mode="json")] + ([decision.model_dump(mode="json")] if decision else [])
    return ApplicationError(failure.message, *details, type=_RUN_FAILURES[failure.verdict], non_retryable=True)


_RUN_FAILURES = {
    Verdict.AGAIN: "GaveUp",
    Verdict.UNKNOWN: "OutcomeUnknown",
    Verdict.FINAL: "CallFailed",
    Verdict.RECONNECT: "NeedsReconnect",
}

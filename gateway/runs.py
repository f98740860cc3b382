"""`/v1/runs`: start, wait for, list, read, decide about and cancel runs."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field, JsonValue

from auth.api_tokens import Scope
from definitions.base import Model
from definitions.refs import CredentialRef
from definitions.run import Decision, Failure, RunResult, Waiting
from gateway.access import GuardedRoute, admitted, needs, who_asks
from gateway.cursor import MAX_CHARACTERS, cursor_of, token_of
from gateway.door import Door, door_of
from gateway.operations import OperationThroughAdapter, plain
from gateway.problems import Problem, failure_told, without_places
from runtime.binding import bound_for
from runtime.run_filter import STATES, RunFilter
from runtime.runs import RunError, RunFailed, RunSummary, Started
from storage.errors import NotFound

MAX_WAIT = 60.0
"""Seconds; who must wait longer asks again."""
RESULT_SECONDS = 10.0
"""For the result of a run that has ended."""

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=GuardedRoute)

SHORT: dict[str, Any] = {"response_model_exclude_unset": True}
"""What is not known, or has not come about, is left out."""

DoorOf = Annotated[Door, Depends(door_of)]
RunId = Annotated[str, Path(description="The whole id, as it was given", pattern="^run-[0-9a-f]{32}$")]


class StartRun(Model):
    """What an app asks for."""

    operation: OperationThroughAdapter
    profile: str = Field(default="dev", min_length=1, description="The environment")
    subject: str | None = Field(default=None, description="The app's end user, where accounts are bound per subject")
    key: str | None = Field(
        default=None, min_length=1, max_length=1000, description="A second request with this key finds the first's run"
    )
    wait: float = Field(default=0, ge=0, le=MAX_WAIT, description="Seconds to wait for the result")


class Run(BaseModel):
    """A run as it is now. `result` stands in one that ended well, `failure` in one that failed."""

    id: str
    state: str = Field(description=f"One of {', '.join(STATES)}")
    summary: str
    adapter: str | None = None
    profile: str | None = None
    definition: str | None = None
    trigger: str | None = None
    started: datetime | None = None
    closed: datetime | None = None
    duplicate: bool | None = Field(default=None, description="Whether the key had started this run before")
    account: str | None = Field(default=None, description="The one that a run that waits, or waited, has to do with")
    waiting: Waiting | None = Field(
        default=None, description="What a run waits for that waits for its account, or for a word about a host key"
    )
    result: RunResult | None = None
    failure: Failure | None = None
    decision: Decision | None = Field(default=None, description="The one that failed the run")


class RunList(BaseModel):
    """Those under way first, then those that have ended, each the newest first."""

    runs: Sequence[Run]
    next_cursor: str | None = Field(description="Asks for the next page, with the same filters; null after the last")


class StepOfRun(BaseModel):
    """One thing that happened, or, at the end of a run under way, that is going on."""

    at: datetime
    what: str
    failure: Failure | None = None


class History(BaseModel):
    """The oldest first."""

    id: str
    steps: Sequence[StepOfRun]


class Decide(Model):
    """An operator's decision about a run that waits; who and why stand in its history."""

    action: Literal["retry", "skip", "fail", "trust"] = Field(
        description="trust: take the host key that the run waits with for the server's own"
    )
    why: str = Field(min_length=1, max_length=1800)
    who: str | None = Field(
        default=None, min_length=1, max_length=100, description="The person; the token is noted too"
    )
    value: JsonValue = Field(default=None, description="With `skip`: what the run returns instead of an answer")


class Listing(Model):
    """Which runs to list."""

    state: Literal[STATES] | None = None  # type: ignore[valid-type]
    adapter: str | None = None
    profile: str | None = None
    definition: str | None = Field(default=None, description="Key of the integration")
    account: str | None = Field(default=None, description="Runs that have waited because of this connected account")
    since: datetime | None = Field(default=None, description="Started since; without a zone it is UTC")
    until: datetime | None = None
    limit: int = Field(default=50, ge=1, le=1000, description="Runs on a page")
    cursor: str | None = Field(default=None, max_length=MAX_CHARACTERS, description="`next_cursor` of the page before")


@router.post(
    "",
    status_code=202,
    responses={200: {"model": Run}},
    openapi_extra=needs(Scope.RUNS_START),
    name="Start a run",
    **SHORT,
)
async def start(asked: StartRun, request: Request, response: Response, door: DoorOf) -> Run:
    """Start one operation as a durable run: 202 with its id, or 200 with the result when it ends within `wait`.

    With a `key` that was used before, nothing is started: the first run is answered. A run that fails while it is
    waited for is told as a problem with status 424.
    """
    credential = CredentialRef(adapter=asked.operation.adapter, profile=asked.profile, subject=asked.subject)
    started = await _started(door, asked, credential)
    result = await _result(door, request, started, asked.wait)
    if result is not None:
        response.status_code = 200
        return Run(
            id=started.id, state="completed", summary=started.summary, duplicate=started.duplicate, result=result
        )
    if asked.wait or started.duplicate:
        return _run(await door.runs.summary(started.id)).model_copy(update={"duplicate": started.duplicate})
    return Run(id=started.id, state="running", summary=started.summary, duplicate=started.duplicate)


@router.get("", openapi_extra=needs(Scope.RUNS_READ), name="List runs", **SHORT)
async def list_runs(asked: Annotated[Listing, Query()], door: DoorOf) -> RunList:
    """One page. A run that ends while pages are read may stand on two of them; none is left out."""
    which = RunFilter(
        state=asked.state,
        adapter=asked.adapter,
        profile=asked.profile,
        definition=asked.definition,
        account=asked.account,
        since=_utc(asked.since),
        until=_utc(asked.until),
    )
    keys, listing = door.stores.keys, which.query()
    token = token_of(keys, listing, asked.cursor) if asked.cursor is not None else None
    found, following = await door.runs.page(which, limit=asked.limit, token=token)
    return RunList(runs=[_run(each) for each in found], next_cursor=cursor_of(keys, listing, following))


@router.get("/{run_id}", openapi_extra=needs(Scope.RUNS_READ), name="Read a run", **SHORT)
async def show(run_id: RunId, door: DoorOf) -> Run:
    """A run as it is now, with its result or failure if it has ended."""
    summary = await door.runs.summary(run_id)
    run = _run(summary)
    if summary.closed is None:
        return run
    try:
        return run.model_copy(update={"result": await _ended(door, run_id)})
    except RunFailed as error:
        failure = failure_told(error.failure, door.stores.settings.data_dir)
        return run.model_copy(update={"failure": failure, "decision": error.decision})
    except RunError:  # cancelled or terminated: the state says it
        return run


@router.get("/{run_id}/history", openapi_extra=needs(Scope.RUNS_READ), name="Read a run's history")
async def history(run_id: RunId, door: DoorOf) -> History:
    """What happened, step by step."""
    _, steps = await door.runs.show(run_id)
    folder = door.stores.settings.data_dir
    told = [
        StepOfRun(
            at=step.at,
            what=without_places(step.what, folder),
            failure=None if step.failure is None else failure_told(step.failure, folder),
        )
        for step in steps
    ]
    return History(id=run_id, steps=told)


@router.post("/{run_id}/decision", openapi_extra=needs(Scope.RUNS_DECIDE), name="Decide about a run", **SHORT)
async def decide(run_id: RunId, asked: Decide, request: Request, door: DoorOf) -> Run:
    """Answer the question that a run waits with: send again, end with a value, or end failed.

    To trust a host key changes an account, so it needs the scope `manage`, too.
    """
    if asked.action == "trust":
        await admitted(request, Scope.MANAGE)
    if asked.value is not None and asked.action != "skip":
        raise Problem(422, "invalid_request", f"body.value: belongs to skip; {asked.action} returns no value")
    decision = Decision(
        action=asked.action, who=who_asks(request.state.caller, asked.who), why=asked.why, value=asked.value
    )
    await door.runs.decide(run_id, decision)
    return _run(await door.runs.summary(run_id))


@router.post("/{run_id}/cancel", status_code=202, openapi_extra=needs(Scope.RUNS_DECIDE), name="Cancel a run", **SHORT)
async def cancel(run_id: RunId, door: DoorOf) -> Run:
    """Ask a run to end. What was already sent stays sent."""
    await door.runs.cancel(run_id)
    return _run(await door.runs.summary(run_id))


async def _started(door: Door, asked: StartRun, credential: CredentialRef) -> Started:
    operation = plain(asked.operation)
    try:
        integration = await bound_for(door.stores, operation, credential)
    except NotFound as error:  # the profile: it stands in the request, not in the URL
        action = f"bind it: tieline profiles set {asked.profile} {credential.adapter} ACCOUNT"
        raise Problem(422, "unbound", str(error), action) from None
    return await door.runs.start(operation, credential, integration, key=asked.key, trigger="api")


async def _result(door: Door, request: Request, started: Started, seconds: float) -> RunResult | None:
    """What a run returns within this time; of one that was found under its key, also what it has returned already.

    Raises:
        RunFailed, RunCancelled: it ended otherwise.
    """
    if seconds:
        return await _waited_for(door, request, started.id, seconds)
    if started.duplicate and (await door.runs.summary(started.id)).closed is not None:
        return await _ended(door, started.id)
    return None


async def _waited_for(door: Door, request: Request, run_id: str, seconds: float) -> RunResult | None:
    """Nobody is waited for who has hung up, nor by a process that stops."""
    result = asyncio.ensure_future(door.runs.result(run_id, timeout=timedelta(seconds=seconds)))
    others = [asyncio.ensure_future(door.closing.wait()), asyncio.ensure_future(_hung_up(request))]
    try:
        await asyncio.wait([result, *others], return_when=asyncio.FIRST_COMPLETED)
        with contextlib.suppress(TimeoutError):
            return await result if result.done() else None
    finally:
        for task in (result, *others):
            task.cancel()
    return None


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _ended(door: Door, run_id: str) -> RunResult:
    return await door.runs.result(run_id, timeout=timedelta(seconds=RESULT_SECONDS))


def _run(summary: RunSummary) -> Run:
    return Run(**{field: getattr(summary, field) for field in type(summary).__dataclass_fields__})


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment

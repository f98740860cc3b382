"""Waiting for a run at the terminal: what it is doing, why it waits, and what would move it on."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CliError, Status, explain
from cli.output import console, note, printable

if TYPE_CHECKING:
    from cli.run_bar import RunBar
    from definitions.run import RunResult
    from runtime.history import Step
    from runtime.runs import Runs, RunSummary

WaitOption = Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="Wait no longer; exit status 4.")]

LOOK_EVERY = 1.0
"""Seconds between two looks at a run that has not ended."""

TAKEN_UP_WITHIN = timedelta(seconds=2)
"""A worker that has room takes work up within milliseconds."""

DECIDE = "tieline runs decide {id} retry|skip|fail --why TEXT"
DECIDE_ABOUT_KEY = "tieline runs decide {id} trust|retry|skip|fail --why TEXT"


async def wait_for(runs: "Runs", run_id: str, limit: float | None) -> "RunResult":
    """The result of a run; meanwhile its progress goes to standard error.

    Raises:
        CliError: it has not ended within `limit` seconds, or Temporal does not answer any more.
        RunFailed, RunCancelled: it ended without an answer.
    """
    from temporalio.service import RPCError

    ending = asyncio.ensure_future(runs.result(run_id))
    ending.add_done_callback(_seen)
    deadline = None if limit is None else time.monotonic() + limit
    try:
        async with _Progress.shown(run_id) as progress:
            while not await _ended(ending, deadline):
                run, steps = await runs.show(run_id)
                if deadline is not None and time.monotonic() >= deadline:
                    raise _not_ended(run_id, limit, steps[-1].what if steps else "queued")
                progress.tell(run, steps, await hints(runs, run, steps))
        return await ending
    except asyncio.CancelledError:
        note(_goes_on(run_id))
        raise
    except RPCError as error:
        complaint = explain(error)
        raise CliError(f"{complaint.message}\n{_goes_on(run_id)}", complaint.status, run=run_id) from None
    finally:
        ending.cancel()


async def _ended(ending: "asyncio.Future[RunResult]", deadline: float | None) -> bool:
    patience = LOOK_EVERY if deadline is None else max(0.0, min(LOOK_EVERY, deadline - time.monotonic()))
    done, _ = await asyncio.wait({ending}, timeout=patience)
    return bool(done)


def _seen(ending: "asyncio.Future[RunResult]") -> None:
    """Its error is not complained about when a look at the run has failed first, of the same cause."""
    if not ending.cancelled():
        ending.exception()


def _goes_on(run_id: str) -> str:
    return f"the run goes on: tieline runs result {run_id}"


def _not_ended(run_id: str, limit: float | None, latest: str) -> CliError:
    from definitions.plural import plural

    within = "" if limit is None else f" within {plural(limit, 'second')}"
    message = f"run {run_id} has not ended{within} ({latest}) and goes on: tieline runs result {run_id}"
    return CliError(message, Status.NOT_ENDED, run=run_id)


class _Progress:
    """A line that changes on a terminal, with a bar while a file is moved; elsewhere, a line for each change that
    somebody must know."""

    def __init__(self, bar: "RunBar | None") -> None:
        self._bar = bar
        self._told: set[str] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def shown(cls, run_id: str) -> "AsyncIterator[_Progress]":
        if not sys.stderr.isatty():
            yield cls(None)
            return
        from cli.run_bar import RunBar

        with RunBar(f"{run_id} is running") as bar:
            yield cls(bar)

    def tell(self, run: "RunSummary", steps: "Sequence[Step]", because: Sequence[str]) -> None:
        latest = steps[-1].what if steps else "queued"
        if self._bar is not None:
            moved = steps[-1].moved if steps else None
            doing = "" if moved else f": {run.state.replace('_', ' ')} ({latest})"
            self._bar.show(f"{run.summary}{doing}", moved)
        for line in because:
            self._once(line)

    def _once(self, line: str) -> None:
        if line in self._told:
            return
        self._told.add(line)
        target = self._bar.console if self._bar is not None else console(sys.stderr)
        target.print(printable(line), style="yellow")


async def hints(runs: "Runs", run: "RunSummary", steps: "Sequence[Step]") -> list[str]:
    """Why a run does not get on, or how it failed, and who can do what about it; nothing while all is well."""
    if steps and steps[-1].queued and run.closed is None:
        return await _without_worker(runs, run, datetime.now(UTC) - steps[-1].at)
    because = next((step.failure for step in reversed(steps) if step.failure is not None), None)
    who = f"Who must act: {because.actor.value}. Next step: {because.suggested_action}" if because else ""
    why = f": {because.message}" if because else ""
    match run.state:
        case "waiting_to_retry":
            told = [f"it will be sent again by itself{why}"]
        case "waiting_for_decision":
            verbs = DECIDE_ABOUT_KEY if because and because.host_key else DECIDE
            told = [f"run {run.id} waits for a decision{why}", who, verbs.format(id=run.id)]
        case "waiting_for_reconnect":
            told = [f"run {run.id} waits for its account, and goes on by itself when that works{why}", who]
        case "failed":
            told = [who]
        case _:
            told = []
    return [line for line in told if line]


async def _without_worker(runs: "Runs", run: "RunSummary", since: timedelta) -> list[str]:
    if since < TAKEN_UP_WITHIN:
        return []
    if await runs.has_worker(run):
        return ["no worker has taken it up yet: it may be busy, or have ended a moment ago: tieline doctor"]
    return [
        f"no worker polls task queue {run.task_queue}, so the run waits: start one with `tieline worker`, "
        "or `tieline up`"
    ]

"""Waiting for a run at the terminal: what it is doing, why it waits, and what would move it on."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from cli.errors import CliError, Status
from cli.output import console, printable

if TYPE_CHECKING:
    from rich.status import Status as Spinner

    from definitions.run import RunResult
    from runtime.history import Step
    from runtime.runs import Runs, RunSummary

LOOK_EVERY = 1.0
"""Seconds between two looks at a run that has not ended."""

DECIDE = "tieline runs decide {id} retry|skip|fail --why TEXT"


async def wait_for(runs: "Runs", run_id: str, limit: float | None) -> "RunResult":
    """The result of a run; meanwhile its progress goes to standard error.

    Raises:
        CliError: it has not ended within `limit` seconds.
        RunFailed, RunCancelled: it ended without an answer.
    """
    ending = asyncio.ensure_future(runs.result(run_id))
    deadline = None if limit is None else time.monotonic() + limit
    try:
        async with _Progress.shown(run_id) as progress:
            while not await _ended(ending, deadline):
                if deadline is not None and time.monotonic() >= deadline:
                    raise _not_ended(run_id, limit)
                progress.tell(*await runs.show(run_id))
        return await ending
    except asyncio.CancelledError:
        print(f"the run goes on: tieline runs show {run_id}", file=sys.stderr)
        raise
    finally:
        ending.cancel()


async def _ended(ending: "asyncio.Future[RunResult]", deadline: float | None) -> bool:
    patience = LOOK_EVERY if deadline is None else max(0.0, min(LOOK_EVERY, deadline - time.monotonic()))
    done, _ = await asyncio.wait({ending}, timeout=patience)
    return bool(done)


def _not_ended(run_id: str, limit: float | None) -> CliError:
    message = f"run {run_id} has not ended within {limit:g} seconds and goes on: tieline runs show {run_id}"
    return CliError(message, Status.NOT_ENDED, run=run_id)


class _Progress:
    """A line that changes on a terminal; elsewhere, a line for each change that somebody must know."""

    def __init__(self, run_id: str, spinner: "Spinner | None") -> None:
        self._run_id = run_id
        self._spinner = spinner
        self._told: set[str] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def shown(cls, run_id: str) -> "AsyncIterator[_Progress]":
        if not sys.stderr.isatty():
            yield cls(run_id, None)
            return
        with console(sys.stderr).status(f"{run_id} is running") as spinner:
            yield cls(run_id, spinner)

    def tell(self, run: "RunSummary", steps: "Sequence[Step]") -> None:
        from rich.text import Text

        latest = steps[-1].what if steps else "queued"
        if self._spinner is not None:
            # As Text, because a plain string would be read as markup.
            self._spinner.update(Text(printable(f"{run.summary}: {run.state.replace('_', ' ')} ({latest})")))
        for line in waits_because(run, steps):
            self._once(line)

    def _once(self, line: str) -> None:
        if line in self._told:
            return
        self._told.add(line)
        target = self._spinner.console if self._spinner is not None else console(sys.stderr)
        target.print(printable(line), style="yellow")


def waits_because(run: "RunSummary", steps: "Sequence[Step]") -> list[str]:
    """Why a run waits, and who can move it on; nothing while it simply runs."""
    failure = next((step.failure for step in reversed(steps) if step.failure is not None), None)
    if run.state not in ("waiting_to_retry", "waiting_for_decision") or failure is None:
        return []
    if run.state == "waiting_to_retry":
        return [f"it will be sent again by itself: {failure.message}"]
    return [
        f"run {run.id} waits for a decision: {failure.message}",
        f"Who must act: {failure.actor.value}. Next step: {failure.suggested_action}",
        DECIDE.format(id=run.id),
    ]

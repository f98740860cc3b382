"""What the doctor finds about runs that do not get on: somebody must decide about them, or their call fails again and
again."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from definitions.run import RunState
from runtime.findings import Finding, State
from runtime.retrying import Retrying, retrying
from runtime.run_filter import RunFilter
from runtime.runs import Runs
from runtime.waits import Wait, waits_of

SHOWN = 5
"""Runs, or accounts, that are named; of more, that there are more."""
LOOKED_AT = 1000
"""Runs of which it is known what for they wait."""
DECISIONS = "tieline runs list --state waiting_for_decision"
LONG = timedelta(minutes=5)
"""Before that a call that fails is what retries are for."""
ASKED = 200
"""Runs of which Temporal is asked what they are doing."""


async def decision_findings(runs: Runs) -> AsyncIterator[Finding]:
    """Once for each account whose server shows another key, however many runs met it; every other run by itself."""
    which = RunFilter(state=RunState.WAITING_FOR_DECISION)
    found = [run async for run in runs.list(which, limit=LOOKED_AT + 1)]
    keys = [wait for wait in waits_of(found[:LOOKED_AT]) if wait.host_key]
    others = [run for run in found[:LOOKED_AT] if run.waiting is None]
    more = len(found) > LOOKED_AT
    for wait in keys[:SHOWN]:
        yield _host_key(wait, more=more)
    for run in others[:SHOWN]:
        yield Finding("run", State.WRONG, f"{run.summary} waits for a decision", f"tieline runs show {run.id}")
    if more or len(keys) > SHOWN or len(others) > SHOWN:
        yield Finding("runs", State.WRONG, "more wait for a decision", DECISIONS)
    if not found:
        yield Finding("runs", State.OK, "none waits for a decision")


def _host_key(wait: Wait, *, more: bool) -> Finding:
    key, count = wait.latest.host_key, len(wait.runs)
    assert key is not None, "it waits with one"
    how_many = f"{count}{' and more' if more else ''} wait" if count > 1 else "1 waits"
    expected = " or ".join(key.expected) or "none that is known"
    told = (
        f"{how_many} with account {wait.account}, the longest since {wait.since:%Y-%m-%d %H:%M:%S} UTC: {key.host}:"
        f"{key.port} shows another host key, {key.presented} ({key.algorithm}), where {expected} is expected"
    )
    return Finding("runs", State.WRONG, told, wait.next_step)


async def retrying_findings(client: Client, runs: Runs, long: timedelta = LONG) -> AsyncIterator[Finding]:
    """Once for each account, or adapter where nobody knows it: what fails, since when, and when it is tried again.

    `long`: how long a run must have been under way to be told of.
    """
    before = datetime.now(UTC) - long
    found = [run async for run in runs.list(RunFilter(calling=True, until=before), limit=ASKED + 1)]
    together: dict[str, list[Retrying]] = {}
    for each in await retrying(client, found[:ASKED]):
        together.setdefault(each.through, []).append(each)
    for through, failing in list(together.items())[:SHOWN]:
        yield _failing(through, failing)
    if len(together) > SHOWN or (together and len(found) > ASKED):
        yield Finding("runs", State.WRONG, "more may be tried again and again", "tieline runs list --state running")
    if later := await runs.count(RunFilter(state=RunState.WAITING_TO_RETRY, until=before)):
        told = f"{later} {'waits' if later == 1 else 'wait'} to be sent again"
        yield Finding("runs", State.NOTE, told, "tieline runs list --state waiting_to_retry")


def _failing(through: str, failing: Sequence[Retrying]) -> Finding:
    last, longest = max(failing, key=lambda each: each.tried), min(failing, key=lambda each: each.run.started)
    how_many = "1 is" if len(failing) == 1 else f"{len(failing)} are"
    due = min((each.due for each in failing if each.due is not None), default=None)
    since = f"{longest.run.started:%Y-%m-%d %H:%M:%S} UTC, attempt {longest.attempt}"
    then = f"at {due:%H:%M:%S} UTC" if due else "under way"
    told = (
        f"{how_many} tried again and again with {through} (the longest since {since}): {last.why}; next attempt {then}"
    )
    return Finding("runs", State.WRONG, told, f"{last.next_step}; tieline runs show {last.run.id}")

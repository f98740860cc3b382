"""What the doctor finds about runs that do not get on: those that somebody must decide about."""

from collections.abc import AsyncIterator

from definitions.run import RunState
from runtime.findings import Finding, State
from runtime.run_filter import RunFilter
from runtime.runs import Runs
from runtime.waits import Wait, waits_of

SHOWN = 5
"""Runs, or accounts, that are named; of more, that there are more."""
LOOKED_AT = 1000
"""Runs of which it is known what for they wait."""
DECISIONS = "tieline runs list --state waiting_for_decision"


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

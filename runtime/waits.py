"""Runs that wait for the same person to do the same thing, told once: what for, since when, and what lets all go on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from definitions.run import Waiting
from runtime.runs import RunSummary


@dataclass(frozen=True, slots=True)
class Wait:
    """Those of one account. `since`: the longest of them; `latest`: what the last one was told."""

    account: str | None
    runs: Sequence[RunSummary]
    since: datetime
    latest: Waiting

    @property
    def host_key(self) -> bool:
        """Whether their server shows a key that nobody has confirmed."""
        return self.latest.host_key is not None

    @property
    def next_step(self) -> str:
        """It names a command."""
        for_all = f"; trust lets all {len(self.runs)} of them go on" if self.host_key and len(self.runs) > 1 else ""
        return f"{self.latest.next_step}{for_all}"


def waits_of(runs: Iterable[RunSummary]) -> list[Wait]:
    """In the order of the runs, without those that wait for nothing that an account has to do with."""
    together: dict[tuple[str | None, bool], list[tuple[RunSummary, Waiting]]] = {}
    for run in runs:
        if run.waiting is not None:
            kind = (run.waiting.account, run.waiting.host_key is not None)
            together.setdefault(kind, []).append((run, run.waiting))
    return [_wait(account, each) for (account, _), each in together.items()]


def _wait(account: str | None, waiting: Sequence[tuple[RunSummary, Waiting]]) -> Wait:
    told = [each for _, each in waiting]
    latest = max(told, key=lambda each: each.since)
    return Wait(account, [run for run, _ in waiting], min(each.since for each in told), latest)

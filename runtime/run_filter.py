"""Which runs to list, as a query of Temporal's visibility store."""

from dataclasses import dataclass
from datetime import datetime

from definitions.run import RunState
from workflows.attributes import ACCOUNT, ADAPTER, DEFINITION, PROFILE, STATE


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; empty fields do not restrict."""

    state: str | None = None
    adapter: str | None = None
    profile: str | None = None
    definition: str | None = None
    account: str | None = None
    """The account that runs wait for, or waited for."""
    since: datetime | None = None
    until: datetime | None = None
    calling: bool = False
    """Those under way that wait for nobody: their call is being made, or Temporal repeats it."""

    def query(self) -> str:
        """As a visibility query. Values are quoted, so they cannot add conditions."""
        terms = ["WorkflowType = 'tieline.run'"]
        fields = ((ADAPTER, self.adapter), (PROFILE, self.profile), (DEFINITION, self.definition))
        for key, value in (*fields, (ACCOUNT, self.account)):
            if value:
                terms.append(f"{key.name} = {_quoted(value)}")
        terms += _state_terms(self.state)
        terms += [_CALLING] if self.calling else []
        terms += [f"StartTime >= {_quoted(self.since.isoformat())}"] if self.since else []
        terms += [f"StartTime <= {_quoted(self.until.isoformat())}"] if self.until else []
        return " AND ".join(terms)


STATUSES = {
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Canceled",
    "terminated": "Terminated",
    "timed_out": "TimedOut",
}
STATES = (*(state.value for state in RunState), *STATUSES)
"""All the states that a run can be in, as users write them."""


_CALLING = f"ExecutionStatus = 'Running' AND ({STATE.name} IS NULL OR {STATE.name} = '{RunState.RUNNING}')"


def _state_terms(state: str | None) -> list[str]:
    if not state:
        return []
    if state in STATUSES:
        return [f"ExecutionStatus = '{STATUSES[state]}'"]
    if state == RunState.RUNNING:
        return ["ExecutionStatus = 'Running'"]
    return ["ExecutionStatus = 'Running'", f"{STATE.name} = {_quoted(state)}"]


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

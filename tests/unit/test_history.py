"""What an operator reads of recorded runs, and of attempts that Temporal repeats: what happened, and who must act."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, TimeoutError, TimeoutType

from auth.keys import from_environment
from cli.waiting import hints
from definitions.run import Actor, Verdict
from runtime.history import Step, steps_of
from runtime.plugin import data_converter
from runtime.runs import Runs, RunSummary
from tests.fixtures.assets import payloads_in
from tests.replay.record import FOLDER, KEYS, MANIFEST

LOST = TimeoutError("no heartbeat", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[])


@pytest.fixture
def converter(tmp_path: Path) -> DataConverter:
    return data_converter(from_environment(KEYS.get_secret_value()), payloads_in(tmp_path))


async def read(name: str, converter: DataConverter, *pending: PendingActivityInfo, events: int = 1000) -> list[Step]:
    """The steps of a recorded run, as they were after its first `events`."""
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    recorded = WorkflowHistory.from_json(json.loads(MANIFEST.read_text())[name], text).events[:events]

    async def fetch() -> AsyncIterator[HistoryEvent]:
        for event in recorded:
            yield event

    handle = SimpleNamespace(fetch_history_events=fetch)
    description = SimpleNamespace(raw_description=DescribeWorkflowExecutionResponse(pending_activities=pending))
    return await steps_of(cast(Any, handle), cast(Any, description), converter)


async def repeated_after(error: Exception, converter: DataConverter) -> PendingActivityInfo:
    state = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    pending = PendingActivityInfo(attempt=2, state=state)
    await converter.encode_failure(error, pending.last_failure)
    return pending


def run_in(state: str) -> RunSummary:
    now = datetime.now(UTC)
    return RunSummary("run-1", "POST flaky/ok", state, "flaky", "production", "flaky", "cli", "q", now, closed=None)


async def told(state: str, steps: Sequence[Step]) -> list[str]:
    return await hints(cast(Runs, None), run_in(state), steps)


async def test_a_lost_worker_reads_as_a_call_whose_outcome_is_unknown(converter: DataConverter) -> None:
    steps = await read("lost_with_its_worker", converter)

    (lost,) = [step for step in steps if "worker was lost" in step.what]
    assert lost.what.startswith("outcome unknown: POST flaky/ok/")
    assert lost.failure is not None
    assert (lost.failure.verdict, lost.failure.actor) == (Verdict.UNKNOWN, Actor.OPERATOR)


async def test_a_run_that_waits_after_a_lost_worker_says_who_must_act_and_how(converter: DataConverter) -> None:
    why, who, decide = await told("waiting_for_decision", await read("lost_with_its_worker", converter))

    assert "the worker was lost; the call may have been performed" in why
    assert who == "Who must act: operator. Next step: look in the external system whether the call had its effect, " + (
        "then decide"
    )
    assert decide == "tieline runs decide run-1 retry|skip|fail --why TEXT"


async def test_a_run_that_waits_for_a_decision_names_the_command_even_where_its_reason_cannot_be_read() -> None:
    lines = await told("waiting_for_decision", [Step(datetime.now(UTC), "started")])

    assert lines[-1] == "tieline runs decide run-1 retry|skip|fail --why TEXT"


async def test_a_read_whose_every_attempt_was_lost_says_so(converter: DataConverter) -> None:
    steps = await read("lost_until_it_was_too_late", converter)

    assert any("failed for good: GET flaky/ok/" in step.what and "no attempt succeeded" in step.what for step in steps)


async def test_a_failed_upload_tells_that_its_unfinished_files_were_looked_after(converter: DataConverter) -> None:
    steps = await read("refused_and_cleaned_up", converter)

    assert [step.what.partition(":")[0] for step in steps[-4:]] == [
        "failed for good",
        "take away what is unfinished",
        "looked after what was unfinished",
        "failed",
    ]


async def test_a_failed_run_advises_what_its_end_calls_for_and_not_its_last_attempt(converter: DataConverter) -> None:
    (who,) = await told("failed", await read("gave_up", converter))

    assert who.endswith("start the run again when the provider answers, or give it a longer give_up_after")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LOST, "the worker was lost, or was too slow"),
        (ApplicationError("paused", type="ActivityPause"), "it ended with ActivityPause"),
        (ApplicationError("reset", type="ActivityReset"), "it ended with ActivityReset"),
    ],
)
async def test_an_attempt_under_way_says_how_the_one_before_it_ended(
    error: Exception, text: str, converter: DataConverter
) -> None:
    steps = await read("answered", converter, await repeated_after(error, converter), events=5)

    assert steps[-1].what == f"attempt 2 is under way, after: {text}"

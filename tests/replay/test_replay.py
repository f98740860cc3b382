"""Every recorded history replays with today's workflows, and would not with changed ones."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

from auth.keys import from_environment
from runtime.plugin import ROOMS_PASSED_THROUGH, WORKFLOWS, data_converter, tieline_plugin
from tests.fixtures.assets import payloads_in
from tests.replay.mutants import AsksWithoutShowing, CallsTwice, LooksAtTheClock, WaitsBeforeItCalls
from tests.replay.record import FOLDER, KEYS, MANIFEST, SCENARIOS, WITHOUT_WORKER
from tests.replay.record_sftp import SFTP_SCENARIOS
from tests.replay.tracing import lines_run, missed_lines
from workflows import run as run_module

IDS: dict[str, str] = json.loads(MANIFEST.read_text(encoding="utf-8"))


@pytest.fixture
def converter(tmp_path: Path) -> DataConverter:
    return data_converter(from_environment(KEYS.get_secret_value()), payloads_in(tmp_path))


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(IDS[name], (FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_the_corpus_holds_every_scenario() -> None:
    of_http, of_sftp = SCENARIOS + WITHOUT_WORKER, SFTP_SCENARIOS
    assert set(IDS) == {each.__name__ for each in of_http} | {each.__name__ for each in of_sftp}


@pytest.mark.parametrize("name", sorted(IDS))
async def test_a_recorded_run_replays(name: str, converter: DataConverter) -> None:
    await Replayer(workflows=[], plugins=[tieline_plugin(converter)]).replay_workflow(history(name))


@pytest.mark.parametrize("name", sorted(IDS))
async def test_a_recorded_run_calls_nothing_that_the_sandbox_refuses(name: str, converter: DataConverter) -> None:
    """Workers import workflows outside of it, where a look at the clock or a random number would go unnoticed."""
    await strict_replayer(WORKFLOWS, converter).replay_workflow(history(name))


async def test_the_sandbox_refuses_a_workflow_that_looks_at_the_clock(converter: DataConverter) -> None:
    with pytest.raises(RuntimeError, match="RestrictedWorkflowAccessError"):
        await strict_replayer([LooksAtTheClock], converter).replay_workflow(history("answered"))


@pytest.mark.parametrize(
    ("mutant", "name"),
    [
        (WaitsBeforeItCalls, "answered"),
        (CallsTwice, "sent_again_after_a_wait"),
        (AsksWithoutShowing, "decided_to_retry"),
    ],
)
async def test_a_changed_order_of_commands_is_caught(mutant: type, name: str, converter: DataConverter) -> None:
    with pytest.raises(NondeterminismError):
        await strict_replayer([mutant], converter).replay_workflow(history(name))


async def test_the_corpus_reaches_every_line_of_the_workflow(converter: DataConverter) -> None:
    """A path that no history takes could change its order of commands unseen. Validators do not run in a replay."""
    file = Path(run_module.__file__)
    with lines_run(file) as seen:
        for name in IDS:
            await Replayer(workflows=[], plugins=[tieline_plugin(converter)]).replay_workflow(history(name))
    assert missed_lines(file, seen, without={"_may_decide"}) == []


def strict_replayer(workflows: Sequence[type], converter: DataConverter) -> Replayer:
    """Replays in a sandbox that workflows are imported into."""
    rooms = (room for room in ROOMS_PASSED_THROUGH if room != "workflows")
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*rooms)
    return Replayer(
        workflows=workflows,
        data_converter=converter,
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    )

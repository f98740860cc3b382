"""Every recorded history replays with today's workflows, and would not with changed ones."""

import dataclasses
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

from auth.keys import from_environment
from runtime.plugin import ROOMS_PASSED_THROUGH, data_converter, tieline_plugin
from tests.replay.mutants import AsksWithoutShowing, CallsTwice, WaitsBeforeItCalls
from tests.replay.record import FOLDER, KEYS, MANIFEST, SCENARIOS

IDS: dict[str, str] = json.loads(MANIFEST.read_text(encoding="utf-8"))


@pytest.fixture
def converter(tmp_path: Path) -> DataConverter:
    return data_converter(from_environment(KEYS.get_secret_value()), tmp_path)


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(IDS[name], (FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_the_corpus_holds_every_scenario() -> None:
    assert set(IDS) == {scenario.__name__ for scenario in SCENARIOS}


@pytest.mark.parametrize("name", sorted(IDS))
async def test_a_recorded_run_replays(name: str, converter: DataConverter) -> None:
    await Replayer(workflows=[], plugins=[tieline_plugin(converter)]).replay_workflow(history(name))


@pytest.mark.parametrize(
    ("mutant", "name"),
    [
        (WaitsBeforeItCalls, "answered"),
        (CallsTwice, "sent_again_after_a_wait"),
        (AsksWithoutShowing, "decided_to_retry"),
    ],
)
async def test_a_changed_order_of_commands_is_caught(mutant: type, name: str, converter: DataConverter) -> None:
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*ROOMS_PASSED_THROUGH)
    replayer = Replayer(
        workflows=[mutant],
        data_converter=dataclasses.replace(converter),
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
    )
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(history(name))

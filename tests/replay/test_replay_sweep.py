"""Every recorded sweep replays with today's workflow, and would not with a changed one."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from auth.keys import from_environment
from runtime.plugin import data_converter, tieline_plugin
from tests.fixtures.assets import payloads_in
from tests.replay.mutants import WaitsBeforeItRenews
from tests.replay.record import FOLDER, KEYS
from tests.replay.record_sweep import SWEEPS, scenarios
from tests.replay.test_replay import strict_replayer
from tests.replay.tracing import lines_run, missed_lines
from workflows import refresh_sweep
from workflows.refresh_sweep import RefreshSweepWorkflow

IDS: dict[str, str] = json.loads(SWEEPS.read_text(encoding="utf-8"))


@pytest.fixture
def converter(tmp_path: Path) -> DataConverter:
    return data_converter(from_environment(KEYS.get_secret_value()), payloads_in(tmp_path))


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(IDS[name], (FOLDER / f"{name}.json").read_text(encoding="utf-8"))


async def test_the_corpus_holds_every_scenario_of_the_sweep() -> None:
    assert set(IDS) == set(scenarios())


@pytest.mark.parametrize("name", sorted(IDS))
async def test_a_recorded_sweep_replays(name: str, converter: DataConverter) -> None:
    await Replayer(workflows=[], plugins=[tieline_plugin(converter)]).replay_workflow(history(name))


@pytest.mark.parametrize("name", sorted(IDS))
async def test_a_recorded_sweep_calls_nothing_that_the_sandbox_refuses(name: str, converter: DataConverter) -> None:
    await strict_replayer([RefreshSweepWorkflow], converter).replay_workflow(history(name))


async def test_a_changed_order_of_commands_is_caught(converter: DataConverter) -> None:
    with pytest.raises(NondeterminismError):
        await strict_replayer([WaitsBeforeItRenews], converter).replay_workflow(history("sweep_of_two_pages"))


async def test_the_corpus_reaches_every_line_of_the_sweep(converter: DataConverter) -> None:
    file = Path(refresh_sweep.__file__)
    with lines_run(file) as seen:
        for name in IDS:
            await Replayer(workflows=[], plugins=[tieline_plugin(converter)]).replay_workflow(history(name))
    assert missed_lines(file, seen, without=set()) == []

"""Record what is missing of the sweep in the replay corpus: `python -m tests.replay.record_sweep`."""

import asyncio
import contextlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from temporalio.client import Client, WorkflowFailureError

from auth.keys import from_environment
from runtime.exit import leave
from runtime.plugin import data_converter, tieline_plugin
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal
from tests.fixtures.assets import payloads_in
from tests.fixtures.sweep_pages import Pages, started
from tests.replay.record import FOLDER, KEYS
from workflows.refresh_sweep import PAGES_PER_RUN

SWEEPS = FOLDER / "sweeps.json"
"""Ids of the workflows, by scenario."""


def scenarios() -> Mapping[str, Pages]:
    """What the activities answer. `sweep_cancelled` is cancelled while its batches are renewed."""
    return {
        "sweep_of_nothing": Pages(0),
        "sweep_of_two_pages": Pages(2, batches=3),
        "sweep_of_what_has_to_wait": Pages(100, moved=0),
        "sweep_with_a_failed_batch": Pages(1, batches=2, broken=True),
        "sweep_that_continues": Pages(PAGES_PER_RUN + 1),
        "sweep_cancelled": Pages(1, batches=2, hangs=True),
    }


async def record(client: Client, name: str, pages: Pages) -> str:
    """Run a scenario to its end and write the history of its first run; returns the workflow's id."""
    async with started(client, pages) as handle:
        if name == "sweep_cancelled":
            await pages.begun.wait()
            await handle.cancel()
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()
    first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    history = (await first.fetch_history()).to_json()
    clean = re.sub(r'"identity": "[^"]*"', '"identity": "recorder"', history)
    (FOLDER / f"{name}.json").write_text(clean + "\n", encoding="utf-8")
    return handle.id


async def main() -> None:
    ids: dict[str, str] = json.loads(SWEEPS.read_text(encoding="utf-8")) if SWEEPS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_temporal(Settings(data_dir=Path(folder))) as server:
            converter = data_converter(from_environment(KEYS.get_secret_value()), payloads_in(Path(folder)))
            client = await Client.connect(server.address, plugins=[tieline_plugin(converter)])
            for name, pages in scenarios().items():
                if name not in ids:
                    ids[name] = await record(client, name, pages)
    SWEEPS.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
    print(f"{len(ids)} histories of sweeps are recorded")


if __name__ == "__main__":
    asyncio.run(main())
    leave(0)

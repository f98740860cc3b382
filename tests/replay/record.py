"""Record the replay corpus: `python -m tests.replay.record`, against a real server and real misbehaving services.

A history that no longer replays is a finding: a run like it, under way somewhere, would get stuck. Record anew only
together with `workflow.patched(...)`, or when histories of that shape cannot exist any more; add, rather than replace.
"""

import asyncio
import contextlib
import json
import re
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from definitions.run import Decision
from examples.externalsystems import serve
from runtime.assembly import open_worker
from runtime.exit import leave
from runtime.runs import RunError
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal
from tests.fixtures.tieline import Installation, installed
from tests.fixtures.waiting import until

FOLDER = Path(__file__).parent / "histories"
MANIFEST = FOLDER / "manifest.json"
KEYS = SecretStr("replay:" + "cmVwbGF5IGNvcnB1cywgcHVibGljIHRlc3Qga2V5ISE=")
"""Published on purpose: it encrypts nothing but these histories."""

Scenario = Callable[[Installation], Awaitable[str]]


async def answered(tieline: Installation) -> str:
    return (await tieline.start("giphy", "/v1/gifs/search", query={"q": "cat"})).id


async def repeated_by_temporal(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/503x2/{fresh()}")).id


async def sent_again_after_a_wait(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/429x2:after=1/{fresh()}", method="POST")).id


async def refused(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/404/{fresh()}")).id


async def gave_up(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/503x*:after=5/{fresh()}", method="POST", give_up_after="2s")).id


async def decided_to_retry(tieline: Installation) -> str:
    return await _decided(tieline, "retry")


async def decided_to_skip(tieline: Installation) -> str:
    return await _decided(tieline, "skip")


async def decided_to_fail(tieline: Installation) -> str:
    return await _decided(tieline, "fail")


async def parked_by_policy(tieline: Installation) -> str:
    run_id = (await tieline.start("flaky", f"/404/{fresh()}", on_failure="park")).id
    await _decide(tieline, run_id, "retry")
    return run_id


async def nobody_decided(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/cut/{fresh()}", method="POST", park_for="1s")).id


async def cancelled_while_it_waited(tieline: Installation) -> str:
    run_id = (await tieline.start("flaky", f"/429:after=600/{fresh()}", method="POST")).id
    await until(lambda: _is(tieline, run_id, "waiting_to_retry"))
    await tieline.runs.cancel(run_id)
    return run_id


SCENARIOS: tuple[Scenario, ...] = (
    answered,
    repeated_by_temporal,
    sent_again_after_a_wait,
    refused,
    gave_up,
    decided_to_retry,
    decided_to_skip,
    decided_to_fail,
    parked_by_policy,
    nobody_decided,
    cancelled_while_it_waited,
)


def fresh() -> str:
    return f"replay-{uuid.uuid4().hex[:8]}"


async def _decided(tieline: Installation, action: str) -> str:
    run_id = (await tieline.start("flaky", f"/cut/{fresh()}", method="POST")).id
    await _decide(tieline, run_id, action)
    return run_id


async def _decide(tieline: Installation, run_id: str, action: str) -> None:
    await until(lambda: _is(tieline, run_id, "waiting_for_decision"))
    decision = Decision.model_validate({"action": action, "who": "ann", "why": "recorded", "value": {"id": 1}})
    await tieline.runs.decide(run_id, decision)


async def _is(tieline: Installation, run_id: str, state: str) -> bool:
    return (await tieline.runs.show(run_id))[0].state == state


async def record(tieline: Installation, scenario: Scenario) -> str:
    """Run a scenario to its end and write its history; returns the workflow's id."""
    run_id = await scenario(tieline)
    with contextlib.suppress(RunError):
        await tieline.runs.result(run_id, timeout=timedelta(seconds=60))
    history = await tieline.client.get_workflow_handle(run_id).fetch_history()
    clean = re.sub(r'"identity": "[^"]*"', '"identity": "recorder"', history.to_json())
    (FOLDER / f"{scenario.__name__}.json").write_text(clean + "\n", encoding="utf-8")
    return run_id


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            embedded_temporal(Settings(data_dir=Path(folder))) as server,
            serve() as systems,
            installed(Path(folder) / "tieline", server.address, systems, keys=KEYS) as tieline,
            open_worker(tieline.stores, tieline.client),
        ):
            ids = {scenario.__name__: await record(tieline, scenario) for scenario in SCENARIOS}
    MANIFEST.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
    print(f"recorded {len(ids)} histories")


if __name__ == "__main__":
    asyncio.run(main())
    leave(0)

"""kill -9 of a real worker at named points of a call: what the other side sees, and what the run ends with."""

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio

from definitions.run import Decision, RunResult
from examples.externalsystems import Systems
from examples.externalsystems.ledger import Entry
from runtime.assembly import open_worker
from runtime.temporal_server import TemporalAddress
from tests.acceptance.crashing_worker import crashing_worker
from tests.acceptance.streamed_crashes import (
    CONTENT,
    StreamedCrash,
    killed_while_a_body_goes,
    killed_while_an_answer_comes,
)
from tests.fixtures.tieline import Installation, installed
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=90)
POINTS = ("before_send", "after_send", "after_reply")
ADAPTERS = {"safe": ("flaky", "PUT"), "keyed": ("keyed", "POST"), "unsafe": ("flaky", "POST")}

DECISIONS = {
    0: Decision(action="retry", who="ann", why="it is not in their ledger"),
    1: Decision(action="skip", who="ann", why="it is in their ledger", value="seen"),
}
"""What an operator decides who looked how many requests had arrived."""

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Crashed:
    """What was seen of one call whose first worker was killed. `asked`: how many requests had arrived when the run
    asked for a decision, None when it did not ask."""

    asked: int | None
    requests: int
    keys: int
    effects: int
    steps: list[str]
    result: RunResult


@dataclass(frozen=True, slots=True)
class AllCrashes:
    """By point and delivery; and of calls whose bodies were under way."""

    calls: dict[tuple[str, str], Crashed]
    answer: StreamedCrash
    body: StreamedCrash


@pytest_asyncio.fixture(scope="module")
async def all_crashes(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress, systems: Systems
) -> AllCrashes:
    """All deliveries at all points, side by side: each waits for Temporal to notice that its worker is gone."""
    address = temporal_server.address

    async def one(point: str, delivery: str) -> Crashed:
        folder = tmp_path_factory.mktemp(f"{point}-{delivery}")
        async with installed(folder, address, systems) as installation:
            return await crash_and_finish(installation, point, delivery)

    cases = [(point, delivery) for point in POINTS for delivery in ADAPTERS]
    calls, answer, body = await asyncio.gather(
        asyncio.gather(*(one(*case) for case in cases)),
        killed_while_an_answer_comes(tmp_path_factory.mktemp("answer"), address, systems),
        killed_while_a_body_goes(tmp_path_factory.mktemp("body"), address, systems),
    )
    return AllCrashes(dict(zip(cases, calls, strict=True)), answer, body)


@pytest.fixture(scope="module")
def crashed(all_crashes: AllCrashes) -> dict[tuple[str, str], Crashed]:
    """By point and delivery."""
    return all_crashes.calls


async def crash_and_finish(installation: Installation, point: str, delivery: str) -> Crashed:
    """Kill the first worker at the point, then let another finish; an unsafe call is finished by a decision."""
    run_id, name = await crash(installation, point, delivery)
    asked = None
    async with open_worker(installation.stores, installation.client):
        if delivery == "unsafe":
            await until(lambda: waits(installation, run_id), limit=90)
            asked = len(requests_for(installation, name))
            await installation.runs.decide(run_id, DECISIONS[asked])
        result = await installation.runs.result(run_id, timeout=LIMIT)
    _, steps = await installation.runs.show(run_id)
    requests = requests_for(installation, name)
    return Crashed(
        asked=asked,
        requests=len(requests),
        keys=len({request.idempotency_key for request in requests}),
        effects=installation.systems.ledger.effects(name),
        steps=[step.what for step in steps],
        result=result,
    )


async def crash(installation: Installation, point: str, delivery: str) -> tuple[str, str]:
    """Start a call whose worker dies at this point; returns the run's id and the effect's name."""
    adapter, method = ADAPTERS[delivery]
    name = f"{delivery}-{uuid.uuid4().hex[:8]}"
    held = "ok:wait=60" if point == "after_send" else "ok"
    async with crashing_worker(installation, point) as worker:
        started = await installation.start(adapter, f"/{held}/{name}", method=method, timeout="90s")
        if point == "after_send":
            await until(lambda: installation.systems.ledger.effects(name) > 0, limit=60)
            worker.kill()
        assert await asyncio.wait_for(worker.wait(), 60) == -9
    return started.id, name


def requests_for(installation: Installation, name: str) -> list[Entry]:
    return [entry for entry in installation.systems.ledger.requests("/flaky/") if entry.path.endswith(name)]


async def waits(installation: Installation, run_id: str) -> bool:
    return (await installation.runs.show(run_id))[0].state == "waiting_for_decision"


@pytest.mark.parametrize(
    ("point", "delivery", "requests", "effects"),
    [
        ("before_send", "safe", 1, 1),
        ("before_send", "keyed", 1, 1),
        ("after_send", "safe", 2, 2),
        ("after_send", "keyed", 2, 1),
        ("after_reply", "safe", 2, 2),
        ("after_reply", "keyed", 2, 1),
    ],
)
async def test_a_repeatable_call_is_finished_by_the_next_worker(
    crashed: dict[tuple[str, str], Crashed], point: str, delivery: str, requests: int, effects: int
) -> None:
    """A PUT arrives twice, which by RFC 9110 §9.2.2 is the same as once; a key makes the provider act once."""
    seen = crashed[point, delivery]
    assert seen.result.call is not None
    assert seen.result.call.status == 200
    assert (seen.requests, seen.keys, seen.effects) == (requests, 1, effects)


@pytest.mark.parametrize(
    ("point", "arrived", "status"), [("before_send", 0, 200), ("after_send", 1, None), ("after_reply", 1, None)]
)
async def test_an_unsafe_call_is_not_sent_again_before_somebody_has_looked(
    crashed: dict[tuple[str, str], Crashed], point: str, arrived: int, status: int | None
) -> None:
    seen = crashed[point, "unsafe"]
    assert seen.asked == arrived
    assert (seen.requests, seen.effects) == (1, 1)
    assert (seen.result.call.status if seen.result.call else None) == status
    assert any("outcome unknown: POST flaky/" in step and "the worker was lost" in step for step in seen.steps)


async def test_an_answer_that_was_under_way_is_fetched_again_and_leaves_no_draft(all_crashes: AllCrashes) -> None:
    seen = all_crashes.answer
    assert seen.result.call is not None
    assert seen.result.call.asset is not None
    assert (seen.requests, seen.result.call.attempt) == (2, 2)
    assert seen.result.call.asset.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (seen.left, seen.after) == (1, 0)


async def test_a_body_that_was_under_way_is_not_sent_again_before_somebody_has_looked(all_crashes: AllCrashes) -> None:
    seen = all_crashes.body
    assert (seen.requests, seen.result.value) == (1, "seen")
    assert any("outcome unknown: POST files/file" in step and "the worker was lost" in step for step in seen.steps)

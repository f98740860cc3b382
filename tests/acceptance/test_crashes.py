"""kill -9 of a real worker at named points of a call: what the other side sees, and what the run ends with."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio

from definitions.run import Decision, RunResult
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.temporal_server import TemporalAddress
from tests.acceptance.crashing_worker import crashing_worker
from tests.fixtures.tieline import Installation, installed
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=90)
POINTS = ("before_send", "after_send", "after_reply")
ADAPTERS = {"safe": ("flaky", "PUT"), "keyed": ("keyed", "POST"), "unsafe": ("flaky", "POST")}

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Crashed:
    """What was seen of one call whose first worker was killed."""

    requests: int
    keys: int
    effects: int
    parked: bool
    result: RunResult


@pytest_asyncio.fixture(scope="module")
async def crashed(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress, systems: Systems
) -> dict[tuple[str, str], Crashed]:
    """All deliveries at all points, side by side: each waits for Temporal to notice that its worker is gone."""

    async def one(point: str, delivery: str) -> Crashed:
        folder = tmp_path_factory.mktemp(f"{point}-{delivery}")
        async with installed(folder, temporal_server.address, systems) as installation:
            return await crash_and_finish(installation, point, delivery)

    cases = [(point, delivery) for point in POINTS for delivery in ADAPTERS]
    return dict(zip(cases, await asyncio.gather(*(one(*case) for case in cases)), strict=True))


async def crash_and_finish(installation: Installation, point: str, delivery: str) -> Crashed:
    """Kill the first worker at the point, then let another finish; an unsafe call is finished by a decision."""
    run_id, name = await crash(installation, point, delivery)
    parked = False
    async with open_worker(installation.stores, installation.client):
        if delivery == "unsafe":
            await until(lambda: waits(installation, run_id), limit=90)
            parked = True
            await installation.runs.decide(run_id, Decision(action="skip", who="ann", why="looked it up", value="seen"))
        result = await installation.runs.result(run_id, timeout=LIMIT)
    seen = [entry for entry in installation.systems.ledger.requests("/flaky/") if entry.path.endswith(name)]
    keys = {entry.idempotency_key for entry in seen}
    return Crashed(len(seen), len(keys), installation.systems.ledger.effects(name), parked, result)


async def crash(installation: Installation, point: str, delivery: str) -> tuple[str, str]:
    """Start a call whose worker dies at this point; returns the run's id and the effect's name."""
    adapter, method = ADAPTERS[delivery]
    name = f"{delivery}-{uuid.uuid4().hex[:8]}"
    held = "ok:wait=3" if point == "after_send" else "ok"
    async with crashing_worker(installation, point) as worker:
        started = await installation.start(adapter, f"/{held}/{name}", method=method, timeout="5s")
        if point == "after_send":
            await until(lambda: installation.systems.ledger.effects(name) > 0, limit=60)
            worker.kill()
        assert await asyncio.wait_for(worker.wait(), 60) == -9
    return started.id, name


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


@pytest.mark.parametrize(("point", "effects"), [("before_send", 0), ("after_send", 1), ("after_reply", 1)])
async def test_an_unsafe_call_is_never_sent_twice_and_waits_for_a_decision(
    crashed: dict[tuple[str, str], Crashed], point: str, effects: int
) -> None:
    seen = crashed[point, "unsafe"]
    assert seen.parked
    assert (seen.requests, seen.effects) == (effects, effects)
    assert seen.result.value == "seen"

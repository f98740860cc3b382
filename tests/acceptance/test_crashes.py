"""kill -9 of a real worker at named points of a call: what the other side sees, and what the run ends with."""

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from definitions.run import Decision
from runtime.assembly import open_worker
from tests.fixtures.tieline import Installation
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=60)
ADAPTERS = {"safe": ("flaky", "PUT"), "keyed": ("keyed", "POST"), "unsafe": ("flaky", "POST")}

pytestmark = pytest.mark.timeout(180)


@contextlib.asynccontextmanager
async def crashing_worker(installation: Installation, point: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process that ends by SIGKILL at this point of its first call."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.acceptance.crashing_worker",
        point,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | installation.environment(),
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def crash(installation: Installation, point: str, delivery: str) -> tuple[str, str]:
    """Start a call whose worker dies at this point; returns the run's id and the effect's name."""
    adapter, method = ADAPTERS[delivery]
    name = f"{delivery}-{uuid.uuid4().hex[:8]}"
    held = "ok:wait=3" if point == "after_send" else "ok"
    async with crashing_worker(installation, point) as worker:
        started = await installation.start(adapter, f"/{held}/{name}", method=method, timeout="5s")
        if point == "after_send":
            await until(lambda: installation.systems.ledger.effects(name) > 0)
            worker.kill()
        assert await asyncio.wait_for(worker.wait(), 30) == -9
    return started.id, name


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
    idle: Installation, point: str, delivery: str, requests: int, effects: int
) -> None:
    """A PUT arrives twice, which by RFC 9110 §9.2.2 is the same as once; a key makes the provider act once."""
    run_id, name = await crash(idle, point, delivery)
    async with open_worker(idle.stores, idle.client):
        result = await idle.runs.result(run_id, timeout=LIMIT)
    assert result.call is not None
    assert result.call.status == 200
    seen = [entry for entry in idle.systems.ledger.requests("/flaky/") if entry.path.endswith(name)]
    assert len(seen) == requests
    assert len({entry.idempotency_key for entry in seen}) == 1
    assert idle.systems.ledger.effects(name) == effects


@pytest.mark.parametrize(("point", "effects"), [("before_send", 0), ("after_send", 1), ("after_reply", 1)])
async def test_an_unsafe_call_is_never_sent_twice_and_waits_for_a_decision(
    idle: Installation, point: str, effects: int
) -> None:
    run_id, name = await crash(idle, point, "unsafe")
    async with open_worker(idle.stores, idle.client):

        async def parked() -> bool:
            return (await idle.runs.show(run_id))[0].state == "waiting_for_decision"

        await until(parked, limit=60)
        assert idle.systems.ledger.effects(name) == effects
        await idle.runs.decide(run_id, Decision(action="skip", who="ann", why="looked it up", value=effects))
        assert (await idle.runs.result(run_id, timeout=LIMIT)).value == effects
    assert idle.systems.ledger.effects(name) == effects

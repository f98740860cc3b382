"""Waits of hours and days, on a server that skips them: times in histories are the run's own."""

import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from definitions.run import Decision
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.runs import RunFailed, Runs
from runtime.search_attributes import register_search_attributes
from runtime.temporal_server import TemporalAddress
from tests.fixtures.tieline import Installation, installed
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=30)
HOUR = 3600

pytestmark = pytest.mark.timeout(60)


@pytest_asyncio.fixture
async def working(
    tmp_path: Path, time_skipping_server: TemporalAddress, systems: Systems
) -> AsyncIterator[Installation]:
    async with installed(tmp_path, time_skipping_server.address, systems) as installation:
        await register_search_attributes(installation.client)
        async with open_worker(installation.stores, installation.client):
            yield installation


@pytest_asyncio.fixture
async def skipping(working: Installation) -> Installation:
    """Its runs never wait for a timer."""
    return through(working, TimeSkipper(working.client))


def through(installation: Installation, skipper: TimeSkipper) -> Installation:
    """The same installation, its runs started on a clock that the skipper moves."""
    return dataclasses.replace(installation, runs=Runs(skipper.client, installation.stores.settings.task_queue))


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def took(installation: Installation, run_id: str) -> timedelta:
    """By the run's own clock."""
    _, steps = await installation.runs.show(run_id)
    return steps[-1].at - steps[0].at


async def waits_for_a_decision(installation: Installation, run_id: str) -> None:
    async def waits() -> bool:
        return (await installation.runs.show(run_id))[0].state == "waiting_for_decision"

    await until(waits)


async def test_an_unsafe_post_told_to_come_back_in_six_hours_is_delivered_once(skipping: Installation) -> None:
    name = fresh("six-hours")
    started = await skipping.start("flaky", f"/429:after={6 * HOUR}/{name}", method="POST")
    await skipping.runs.result(started.id, timeout=LIMIT)

    _, steps = await skipping.runs.show(started.id)
    assert any("wait 6h, then send again" in step.what for step in steps)
    assert timedelta(hours=6) <= await took(skipping, started.id) < timedelta(hours=6, minutes=1)
    assert skipping.systems.ledger.effects(name) == 1
    assert len(skipping.systems.ledger.requests(f"/flaky/429:after={6 * HOUR}/{name}")) == 2


async def test_a_get_told_to_come_back_in_six_hours_is_repeated_then_and_not_before(skipping: Installation) -> None:
    path = f"/503:after={6 * HOUR}/{fresh('six-hours')}"
    started = await skipping.start("flaky", path)
    result = await skipping.runs.result(started.id, timeout=LIMIT)

    assert result.call is not None
    assert result.call.attempt == 2
    assert timedelta(hours=6) <= await took(skipping, started.id) < timedelta(hours=6, minutes=1)
    assert len(skipping.systems.ledger.requests(f"/flaky{path}")) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_wait_beyond_the_time_to_give_up_is_not_waited_for(skipping: Installation, method: str) -> None:
    name = fresh("too-long")
    started = await skipping.start("flaky", f"/429:after={48 * HOUR}/{name}", method=method, give_up_after="24h")
    with pytest.raises(RunFailed, match=r"gave up after 1 day, 0:00:00: .* answered 429") as caught:
        await skipping.runs.result(started.id, timeout=LIMIT)

    assert (caught.value.failure.category, caught.value.failure.actor) == ("rate_limited", "provider")
    assert "longer give_up_after" in caught.value.failure.suggested_action
    assert await took(skipping, started.id) < timedelta(minutes=1)
    assert skipping.systems.ledger.effects(name) == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_refused_again_and_again_is_given_up_when_its_time_is_over(
    skipping: Installation, method: str
) -> None:
    name = fresh("never")
    started = await skipping.start("flaky", f"/503x*:after=1200/{name}", method=method, give_up_after="1h")
    with pytest.raises(RunFailed, match="gave up after 1:00:00"):
        await skipping.runs.result(started.id, timeout=LIMIT)

    assert timedelta(minutes=40) <= await took(skipping, started.id) <= timedelta(hours=1)
    assert len(skipping.systems.ledger.requests(f"/flaky/503x*:after=1200/{name}")) == 3


async def test_a_keyed_post_keeps_its_key_over_all_the_hours(skipping: Installation) -> None:
    path = f"/503:effect=1:after={2 * HOUR},429:after={5 * HOUR}/{fresh('keyed')}"
    started = await skipping.start("keyed", path, method="POST")
    await skipping.runs.result(started.id, timeout=LIMIT)

    requests = skipping.systems.ledger.requests(f"/flaky{path}")
    assert len(requests) == 3
    assert len({request.idempotency_key for request in requests}) == 1
    assert skipping.systems.ledger.effects(path.rpartition("/")[2]) == 1
    assert await took(skipping, started.id) >= timedelta(hours=7)


async def test_under_policy_park_a_run_that_gave_up_waits_and_is_decided_after_ten_days(working: Installation) -> None:
    skipper = TimeSkipper(working.client, config=TimeSkippingConfig(enabled=False))
    slow = through(working, skipper)
    name = fresh("parked")
    started = await slow.start("flaky", f"/429:after={48 * HOUR}/{name}", method="POST", on_failure="park")
    await waits_for_a_decision(slow, started.id)

    handle = working.client.get_workflow_handle(started.id)
    assert await skipper.fast_forward(handle, timedelta(days=10))
    await waits_for_a_decision(slow, started.id)
    await slow.runs.decide(started.id, Decision(action="retry", who="ann", why="they raised our limit"))
    result = await slow.runs.result(started.id, timeout=LIMIT)

    assert result.call is not None
    assert await took(slow, started.id) >= timedelta(days=10)
    assert slow.systems.ledger.effects(name) == 1


async def test_an_unknown_outcome_keeps_for_thirty_days_and_then_fails_the_run(skipping: Installation) -> None:
    name = fresh("nobody")
    started = await skipping.start("flaky", f"/cut/{name}", method="POST")
    with pytest.raises(RunFailed, match="nobody decided in time") as caught:
        await skipping.runs.result(started.id, timeout=LIMIT)

    assert caught.value.failure.category == "outcome_unknown"
    assert timedelta(days=30) <= await took(skipping, started.id) < timedelta(days=30, minutes=1)
    assert skipping.systems.ledger.effects(name) == 1


async def test_a_retry_decided_after_days_has_its_whole_time_again(working: Installation) -> None:
    """The time to give up counts from the decision: the run may wait six hours more."""
    skipper = TimeSkipper(working.client, config=TimeSkippingConfig(enabled=False))
    slow = through(working, skipper)
    name = fresh("late")
    started = await slow.start("flaky", f"/cut,429:after={6 * HOUR}/{name}", method="POST", give_up_after="8h")
    await waits_for_a_decision(slow, started.id)
    handle = working.client.get_workflow_handle(started.id)
    await skipper.fast_forward(handle, timedelta(days=3))
    await slow.runs.decide(started.id, Decision(action="retry", who="ann", why="it never arrived"))

    async def waits() -> bool:
        return (await slow.runs.show(started.id))[0].state == "waiting_to_retry"

    await until(waits)
    await skipper.fast_forward(handle, timedelta(hours=7))
    await slow.runs.result(started.id, timeout=LIMIT)
    assert slow.systems.ledger.effects(name) == 2

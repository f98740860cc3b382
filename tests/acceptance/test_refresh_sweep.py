"""The sweep as a schedule and a workflow on a real Temporal server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from temporalio.client import ScheduleOverlapPolicy, ScheduleUpdate
from temporalio.service import RPCError

from definitions.refs import CredentialRef
from definitions.sweep import Sweep, Tally
from runtime.assembly import open_resolver
from runtime.schedules import CATCH_UP, EVERY, keep_sweep, sweep_id, sweep_state
from storage.database import db_now
from storage.schema import tokens
from storage.tokens import TokenRow, read_token
from tests.fixtures.processes import worker_process
from tests.fixtures.tieline import PROFILE, Installation
from tests.fixtures.waiting import until
from workflows.refresh_sweep import RefreshSweepWorkflow


async def token_of(tieline: Installation, name: str) -> TokenRow:
    account = await tieline.stores.accounts.get(name)
    async with tieline.stores.database.read() as connection:
        row = await read_token(connection, account.id)
    assert row is not None
    return row


async def with_due_token(tieline: Installation) -> None:
    """The account `twitter` holds a token that is due."""
    async with open_resolver(tieline.stores) as (resolver, _):
        await resolver.resolve(CredentialRef(adapter="twitter", profile=PROFILE))
    async with tieline.stores.database.write() as connection:
        await connection.execute(update(tokens).where(tokens.c.version > 0).values(refresh_at=db_now() - 1))


async def sweep(tieline: Installation, name: str = "sweep") -> Tally:
    queue = tieline.stores.settings.task_queue
    return await tieline.client.execute_workflow(
        RefreshSweepWorkflow.run, Sweep(), id=f"{name}-{queue}", task_queue=queue
    )


@pytest.fixture
async def scheduled(idle: Installation) -> AsyncIterator[Installation]:
    """An installation without a worker, whose schedule goes with it."""
    yield idle
    handle = idle.client.get_schedule_handle(sweep_id(idle.stores.settings.task_queue))
    try:
        await handle.delete()
    except RPCError:
        return


async def test_a_sweep_renews_what_is_due(tieline: Installation) -> None:
    await with_due_token(tieline)
    tally = await sweep(tieline)
    assert tally == Tally(renewed=1)
    assert (await token_of(tieline, "twitter")).version == 2


async def test_a_sweep_that_finds_nothing_leaves_six_events(tieline: Installation) -> None:
    assert await sweep(tieline) == Tally()
    history = await tieline.client.get_workflow_handle(f"sweep-{tieline.stores.settings.task_queue}").fetch_history()
    assert len(history.events) == 6


async def test_a_history_of_the_sweep_shows_no_account_host_or_secret(tieline: Installation) -> None:
    await with_due_token(tieline)
    await sweep(tieline)
    handle = tieline.client.get_workflow_handle(f"sweep-{tieline.stores.settings.task_queue}")
    shown = (await handle.fetch_history()).to_json()
    decoded = [
        repr(
            await tieline.client.data_converter.decode(
                list(event.activity_task_scheduled_event_attributes.input.payloads)
            )
        )
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    account = await tieline.stores.accounts.get("twitter")
    assert decoded == [repr([{"accounts": [account.id]}])]
    for secret in ("twitter", tieline.systems.server, "Bearer"):
        assert secret not in shown
        assert secret not in "".join(decoded)


async def test_a_workers_start_makes_a_schedule_that_never_overlaps_itself(scheduled: Installation) -> None:
    queue = scheduled.stores.settings.task_queue
    await keep_sweep(scheduled.client, queue)
    found = (await scheduled.client.get_schedule_handle(sweep_id(queue)).describe()).schedule
    assert found.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert found.policy.catchup_window == CATCH_UP
    assert [each.every for each in found.spec.intervals] == [EVERY]


async def test_workers_that_start_at_the_same_time_make_one_schedule(scheduled: Installation) -> None:
    queue = scheduled.stores.settings.task_queue
    await asyncio.gather(*(keep_sweep(scheduled.client, queue) for _ in range(8)))
    await asyncio.gather(*(keep_sweep(scheduled.client, queue) for _ in range(8)))
    found = (await scheduled.client.get_schedule_handle(sweep_id(queue)).describe()).schedule
    assert found.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert [each.every for each in found.spec.intervals] == [EVERY]
    assert not found.state.paused


async def test_every_further_start_corrects_the_schedule_and_leaves_it_paused_if_somebody_paused_it(
    scheduled: Installation,
) -> None:
    queue = scheduled.stores.settings.task_queue
    handle = scheduled.client.get_schedule_handle(sweep_id(queue))
    await keep_sweep(scheduled.client, queue)
    await handle.pause(note="the provider asked us to")
    await handle.update(lambda found: _hourly(found.description.schedule))
    await keep_sweep(scheduled.client, queue)
    await keep_sweep(scheduled.client, queue)
    found = (await handle.describe()).schedule
    assert [each.every for each in found.spec.intervals] == [EVERY]
    assert (found.state.paused, found.state.note) == (True, "the provider asked us to")


def _hourly(schedule: object) -> ScheduleUpdate:
    schedule.spec.intervals[0].every = timedelta(hours=1)  # type: ignore[attr-defined]
    return ScheduleUpdate(schedule)  # type: ignore[arg-type]


async def test_a_worker_process_keeps_its_tokens_fresh_without_being_asked(
    scheduled: Installation, tmp_path: Path
) -> None:
    await with_due_token(scheduled)
    queue = scheduled.stores.settings.task_queue
    async with worker_process(scheduled, tmp_path) as worker:
        await scheduled.client.get_schedule_handle(sweep_id(queue)).trigger()
        await until(lambda: _renewed(scheduled), limit=60)
        state = await sweep_state(scheduled.client, queue)
        assert await worker.stop() == 0
    assert state is not None
    assert state.last is not None
    assert datetime.now(UTC) - state.last < timedelta(minutes=2)


async def _renewed(tieline: Installation) -> bool:
    return (await token_of(tieline, "twitter")).version == 2

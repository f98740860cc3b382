"""How the sweep's workflow goes from page to page; its activities are played, Temporal is real."""

from datetime import timedelta

from temporalio.client import Client

from definitions.sweep import Tally
from tests.fixtures.sweep_pages import Pages, started
from tests.fixtures.tieline import Installation
from workflows.refresh_sweep import PAGES_PER_RUN

LIMIT = timedelta(seconds=30)


async def swept(client: Client, pages: Pages) -> Tally:
    async with started(client, pages) as handle:
        return await handle.result(rpc_timeout=LIMIT)


async def test_pages_are_read_until_nothing_is_due(idle: Installation) -> None:
    pages = Pages(3, batches=4)
    assert await swept(idle.client, pages) == Tally(renewed=12, left=12)
    assert pages.looked == 4


async def test_a_page_of_which_nothing_moves_is_the_last(idle: Installation) -> None:
    pages = Pages(100, moved=0)
    assert await swept(idle.client, pages) == Tally(left=2)
    assert pages.looked == 1


async def test_a_long_sweep_continues_as_a_new_run_and_keeps_its_count(idle: Installation) -> None:
    pages = Pages(PAGES_PER_RUN + 2)
    async with started(idle.client, pages) as handle:
        tally = await handle.result(rpc_timeout=LIMIT)
        first = idle.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        events = (await first.fetch_history()).events
    assert tally == Tally(renewed=PAGES_PER_RUN + 2, left=PAGES_PER_RUN + 2)
    assert events[-1].HasField("workflow_execution_continued_as_new_event_attributes")
    assert len(events) < 300


async def test_a_batch_that_fails_stops_no_other(idle: Installation) -> None:
    assert await swept(idle.client, Pages(1, batches=3, broken=True)) == Tally(renewed=2, left=4)

"""What could send a call twice that must not be repeated: redirects, operators' hands, answers nobody can read."""

import asyncio
import time
import uuid

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest, ResetWorkflowExecutionRequest

from definitions.run import Failure
from runtime.assembly import open_worker
from runtime.runs import RunFailed, Started
from tests.fixtures.http import Answer, Headers, Received, Wire
from tests.fixtures.tieline import Installation
from tests.fixtures.told import JSON, LIMIT, Told, answer, failure, fresh
from tests.fixtures.waiting import until

LARGE = b"x" * 2 * 1024 * 1024
BROTLI: Headers = [("Content-Encoding", "br")]
SOON: Headers = [("Retry-After", "1")]

pytestmark = pytest.mark.timeout(60)


async def posted(told: Told, path: str) -> Failure:
    """What an unsafe POST to this path waits with."""
    return await told.parked(await told.start(path, method="POST"))


def named(run: Started) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=run.id)


# ---- behind a 303, which says that the request was performed


@pytest.mark.parametrize(
    ("status", "headers"), [(401, []), (404, []), (408, []), (425, []), (429, SOON), (500, []), (503, SOON)]
)
async def test_a_post_whose_outcome_cannot_be_fetched_was_performed_and_is_not_sent_again(
    told: Told, status: int, headers: Headers
) -> None:
    path = fresh("/order")
    told.server.reply(f"/api{path}", 303, headers=[("Location", f"/api{path}/outcome")])
    told.server.reply(f"/api{path}/outcome", status, headers=headers)

    found = await posted(told, path)

    assert found.category == "outcome_unknown"
    assert "the request itself was performed" in found.message
    assert len(told.server.to(f"/api{path}")) == 1


async def test_a_get_whose_303_leads_to_a_busy_server_is_repeated(told: Told) -> None:
    path = fresh("/order")
    told.server.reply(f"/api{path}", 303, headers=[("Location", f"/api{path}/outcome")])
    told.server.replies(f"/api{path}/outcome", Answer(503, headers=SOON), Answer(200, b"{}", JSON))

    assert answer(await told.call(path)).attempt == 2


# ---- errors whose bodies nobody can read


@pytest.mark.parametrize(("status", "headers"), [(503, SOON), (502, []), (429, SOON)])
async def test_a_get_is_repeated_after_an_error_page_that_is_too_large(
    told: Told, status: int, headers: Headers
) -> None:
    path = fresh("/page")
    told.server.replies(f"/api{path}", Answer(status, LARGE, headers), Answer(200, b"{}", JSON))

    assert answer(await told.call(path)).attempt == 2


async def test_a_post_is_sent_again_after_a_429_whose_page_has_an_unknown_coding(told: Told) -> None:
    path = fresh("/page")
    told.server.replies(f"/api{path}", Answer(429, b"?", BROTLI + SOON), Answer(200, b"{}", JSON))

    answer(await told.call(path, method="POST"))

    assert len(told.server.to(f"/api{path}")) == 2


async def test_the_outcome_of_a_post_is_unknown_after_a_500_whose_page_has_an_unknown_coding(told: Told) -> None:
    path = fresh("/page")
    told.server.reply(f"/api{path}", 500, b"?", BROTLI)

    assert (await posted(told, path)).status == 500
    assert len(told.server.to(f"/api{path}")) == 1


async def test_an_error_that_counts_as_success_must_be_readable(told: Told) -> None:
    path = fresh("/page")
    told.server.reply(f"/api{path}", 404, LARGE)

    found = failure(await told.call(path, success=["404"], answer="value"))

    assert (found.category, found.status) == ("result_unusable", 404)


# ---- operators' hands


async def test_a_post_that_is_paused_while_it_is_under_way_asks_instead_of_being_sent_again(told: Told) -> None:
    path, let_go = fresh("/slow"), asyncio.Event()

    async def slow(_: Received, __: Wire) -> Answer:
        await let_go.wait()
        return Answer(200, b"{}", JSON)

    told.server.on(f"/api{path}", slow)
    run = await told.start(path, method="POST")
    await until(lambda: bool(told.server.to(f"/api{path}")))
    await told.tieline.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace=told.tieline.client.namespace, execution=named(run), type="tieline.http_call", identity="ann"
        )
    )

    found = await told.parked(run)
    let_go.set()

    assert found.category == "outcome_unknown"
    assert len(told.server.to(f"/api{path}")) == 1


async def reset(told: Told, run: Started) -> None:
    """To the end of the first workflow task: everything after it is done again."""
    await told.tieline.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=told.tieline.client.namespace,
            workflow_execution=named(run),
            reason="looking",
            workflow_task_finish_event_id=4,
            request_id=uuid.uuid4().hex,
        )
    )


async def test_a_run_that_is_reset_asks_before_it_sends_a_post_again(told: Told) -> None:
    path = fresh("/reset")
    told.server.reply(f"/api{path}", body=b"{}", headers=JSON)
    run = await told.start(path, method="POST")
    answer(await told.ended(run))

    await reset(told, run)

    assert "the run was reset" in (await told.parked(run)).message
    assert len(told.server.to(f"/api{path}")) == 1


async def test_a_run_that_is_reset_repeats_a_get(told: Told) -> None:
    path = fresh("/reset")
    told.server.reply(f"/api{path}", body=b"{}", headers=JSON)
    run = await told.start(path)
    answer(await told.ended(run))

    await reset(told, run)

    answer(await told.ended(run))
    assert len(told.server.to(f"/api{path}")) == 2


# ---- what was not wanted any more


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_call_that_no_worker_took_up_in_time_is_not_sent(idle: Installation, method: str) -> None:
    name = fresh("late")
    run = await idle.start("flaky", f"/ok/{name}", method=method, give_up_after="0.2s")
    begun = time.monotonic()
    await until(lambda: time.monotonic() - begun > 0.3)

    async with open_worker(idle.stores, idle.client):
        with pytest.raises(RunFailed, match="no worker took it up within") as caught:
            await idle.runs.result(run.id, timeout=LIMIT)

    assert caught.value.failure.category == "gave_up"
    assert idle.systems.ledger.effects(name) == 0

"""Runs of one operation, on a real Temporal server against real HTTP services that misbehave by script."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from definitions.run import Decision, RunResult
from runtime.run_filter import RunFilter
from runtime.runs import KeyConflict, NotWaiting, RunCancelled, RunFailed, RunNotFound
from tests.fixtures.tieline import Installation
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=30)


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def ended(tieline: Installation, run_id: str) -> RunResult:
    return await tieline.runs.result(run_id, timeout=LIMIT)


async def state_of(tieline: Installation, run_id: str) -> str:
    return (await tieline.runs.show(run_id))[0].state


async def parked(tieline: Installation, run_id: str) -> None:
    async def waits() -> bool:
        return await state_of(tieline, run_id) == "waiting_for_decision"

    await until(waits)


async def test_a_get_returns_what_the_provider_answered(tieline: Installation) -> None:
    started = await tieline.start("giphy", "/v1/gifs/search", query={"q": "cat"})
    result = await ended(tieline, started.id)
    assert result.call is not None
    assert (result.call.status, result.call.encoding, result.call.account) == (200, "json", "giphy")


async def test_a_post_through_a_token_that_is_fetched_when_the_step_runs(tieline: Installation) -> None:
    text = fresh("hello")
    started = await tieline.start("twitter", "/2/tweets", method="POST", body={"type": "json", "value": {"text": text}})
    result = await ended(tieline, started.id)
    assert result.call is not None
    assert result.call.token_version >= 1
    assert tieline.systems.ledger.effects(text) == 1


async def test_503s_on_a_safe_call_are_repeated_until_it_is_answered(tieline: Installation) -> None:
    name = fresh("get")
    started = await tieline.start("flaky", f"/503x2/{name}")
    result = await ended(tieline, started.id)
    assert result.call is not None
    assert result.call.attempt == 3


async def test_a_429_on_an_unsafe_call_is_sent_again_after_the_time_it_names(tieline: Installation) -> None:
    name = fresh("post")
    started = await tieline.start("flaky", f"/429x2:after=1/{name}", method="POST")
    await ended(tieline, started.id)
    assert tieline.systems.ledger.effects(name) == 1
    _, steps = await tieline.runs.show(started.id)
    assert sum("wait 1s, then" in step.what for step in steps) == 2


async def test_a_503_with_retry_after_on_an_unsafe_call_is_delivered_once(tieline: Installation) -> None:
    name = fresh("post")
    started = await tieline.start("flaky", f"/503:after=1/{name}", method="POST")
    await ended(tieline, started.id)
    assert tieline.systems.ledger.effects(name) == 1


async def test_a_post_cut_after_it_was_received_parks_and_is_not_sent_again(tieline: Installation) -> None:
    name = fresh("cut")
    started = await tieline.start("flaky", f"/cut/{name}", method="POST")
    await parked(tieline, started.id)
    assert tieline.systems.ledger.effects(name) == 1
    listed = [run.id async for run in tieline.runs.list(RunFilter(state="waiting_for_decision", adapter="flaky"))]
    assert started.id in listed

    await tieline.runs.decide(
        started.id, Decision(action="skip", who="ann", why="found it in their ledger", value={"id": 7})
    )
    result = await ended(tieline, started.id)
    assert result.value == {"id": 7}
    assert tieline.systems.ledger.effects(name) == 1
    _, steps = await tieline.runs.show(started.id)
    assert any("decided skip by ann: found it in their ledger" in step.what for step in steps)


async def test_a_decision_to_retry_sends_the_same_call_once_more(tieline: Installation) -> None:
    name = fresh("cut")
    started = await tieline.start("flaky", f"/cut/{name}", method="POST")
    await parked(tieline, started.id)
    await tieline.runs.decide(started.id, Decision(action="retry", who="ann", why="it never arrived"))
    result = await ended(tieline, started.id)
    assert result.call is not None
    assert tieline.systems.ledger.effects(name) == 2


async def test_a_decision_to_fail_stands_in_the_failure(tieline: Installation) -> None:
    started = await tieline.start("flaky", f"/cut/{fresh('cut')}", method="POST")
    await parked(tieline, started.id)
    await tieline.runs.decide(started.id, Decision(action="fail", who="ann", why="not needed any more"))
    with pytest.raises(RunFailed) as caught:
        await ended(tieline, started.id)
    assert caught.value.failure.category == "outcome_unknown"
    assert caught.value.decision is not None
    assert caught.value.decision.who == "ann"


async def test_a_run_that_does_not_wait_refuses_a_decision(tieline: Installation) -> None:
    decision = Decision(action="retry", who="ann", why="because")
    waiting = await tieline.start("flaky", f"/429x9:after=600/{fresh('slow')}")
    with pytest.raises(NotWaiting):
        await tieline.runs.decide(waiting.id, decision)
    await tieline.runs.cancel(waiting.id)
    done = await tieline.start("giphy", "/v1/gifs/search", query={"q": "cat"})
    await ended(tieline, done.id)
    with pytest.raises(NotWaiting, match="has ended"):
        await tieline.runs.decide(done.id, decision)
    with pytest.raises(RunNotFound):
        await tieline.runs.decide("run-of-nobody", decision)


async def test_a_keyed_post_is_repeated_with_the_same_key_and_has_one_effect(tieline: Installation) -> None:
    name = fresh("keyed")
    started = await tieline.start("keyed", f"/cut/{name}", method="POST")
    await ended(tieline, started.id)
    requests = tieline.systems.ledger.requests(f"/flaky/cut/{name}")
    assert len(requests) == 2
    assert len({request.idempotency_key for request in requests}) == 1
    assert tieline.systems.ledger.effects(name) == 1


async def test_a_refusal_fails_the_run_with_who_must_act(tieline: Installation) -> None:
    started = await tieline.start("flaky", f"/404x9/{fresh('gone')}")
    with pytest.raises(RunFailed) as caught:
        await ended(tieline, started.id)
    failure = caught.value.failure
    assert (failure.category, failure.status, failure.actor) == ("refused", 404, "user")


async def test_under_policy_park_a_final_error_waits_for_a_decision(tieline: Installation) -> None:
    name = fresh("parked")
    started = await tieline.start("flaky", f"/404/{name}", on_failure="park")
    await parked(tieline, started.id)
    await tieline.runs.decide(started.id, Decision(action="retry", who="ann", why="it is there now"))
    await ended(tieline, started.id)


async def test_a_run_gives_up_when_its_time_is_over(tieline: Installation) -> None:
    started = await tieline.start("flaky", f"/503x*:after=5/{fresh('never')}", method="POST", give_up_after="3s")
    with pytest.raises(RunFailed, match="gave up after") as caught:
        await ended(tieline, started.id)
    assert caught.value.failure.category == "provider_busy"


async def test_cancelling_a_run_that_waits_ends_it_at_once(tieline: Installation) -> None:
    started = await tieline.start("flaky", f"/429x9:after=600/{fresh('long')}", method="POST")

    async def waits() -> bool:
        return await state_of(tieline, started.id) == "waiting_to_retry"

    await until(waits)
    await tieline.runs.cancel(started.id)
    with pytest.raises(RunCancelled):
        await ended(tieline, started.id)


async def test_cancelling_a_run_in_the_middle_of_its_call_ends_it_at_once(tieline: Installation) -> None:
    name = fresh("under-way")
    started = await tieline.start("flaky", f"/ok:wait=60/{name}", method="POST", timeout="90s")
    await until(lambda: tieline.systems.ledger.effects(name) == 1)
    await tieline.runs.cancel(started.id)
    with pytest.raises(RunCancelled):
        await tieline.runs.result(started.id, timeout=timedelta(seconds=10))


async def test_the_same_key_finds_the_first_run_while_it_runs_and_after(tieline: Installation) -> None:
    name, key = fresh("once"), fresh("order")
    first = await tieline.start("flaky", f"/ok/{name}", method="POST", key=key)
    second = await tieline.start("flaky", f"/ok/{name}", method="POST", key=key)
    await ended(tieline, first.id)
    third = await tieline.start("flaky", f"/ok/{name}", method="POST", key=key)
    assert {first.id, second.id, third.id} == {first.id}
    assert [first.duplicate, second.duplicate, third.duplicate] == [False, True, True]
    assert tieline.systems.ledger.effects(name) == 1


async def test_the_same_key_for_another_operation_is_refused(tieline: Installation) -> None:
    key = fresh("order")
    await tieline.start("flaky", f"/ok/{fresh('a')}", method="POST", key=key)
    with pytest.raises(KeyConflict, match="use a new key"):
        await tieline.start("flaky", f"/ok/{fresh('b')}", method="POST", key=key)


async def test_a_happy_push_is_one_activity_and_two_workflow_tasks(tieline: Installation) -> None:
    started = await tieline.start("flaky", f"/ok/{fresh('happy')}", method="POST")
    await ended(tieline, started.id)
    history = await tieline.client.get_workflow_handle(started.id).fetch_history()
    assert len(history.events) == 11


async def test_runs_are_found_by_state_adapter_profile_and_time(tieline: Installation) -> None:
    started = await tieline.start("giphy", "/v1/gifs/search", query={"q": "dog"})
    await ended(tieline, started.id)

    async def listed() -> bool:
        which = RunFilter(state="completed", adapter="giphy", profile="production", definition="giphy")
        return started.id in [run.id async for run in tieline.runs.list(which, limit=200)]

    await until(listed)
    nothing = RunFilter(adapter="giphy", profile="dev")
    assert started.id not in [run.id async for run in tieline.runs.list(nothing, limit=200)]


async def test_a_run_that_does_not_end_is_waited_for_no_longer_than_was_said(tieline: Installation) -> None:
    started = await tieline.start("flaky", f"/429x9:after=600/{fresh('slow')}")
    with pytest.raises(TimeoutError, match="has not ended within 0:00:01"):
        async with asyncio.timeout(10):
            await tieline.runs.result(started.id, timeout=timedelta(seconds=1))

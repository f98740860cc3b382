"""Runs through the front door: a real HTTP server, a real Temporal server, real services that misbehave by script."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from gateway.serve import front_door
from runtime.http_server import listen
from runtime.serve import Parts
from tests.fixtures.gateway import UI, Gateway
from tests.fixtures.tieline import PROFILE
from tests.fixtures.waiting import until


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def read(gateway: Gateway, run_id: str) -> dict[str, Any]:
    answer = await gateway.http.get(f"/v1/runs/{run_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def in_state(gateway: Gateway, run_id: str, state: str) -> None:
    async def there() -> bool:
        return bool((await read(gateway, run_id))["state"] == state)

    await until(there)


async def parked(gateway: Gateway) -> tuple[str, str]:
    """A run that waits for a decision, and what its effect is called."""
    name = fresh("cut")
    run_id: str = (await gateway.push("flaky", f"/cut/{name}")).json()["id"]
    await in_state(gateway, run_id, "waiting_for_decision")
    return run_id, name


async def test_a_push_without_a_wait_is_accepted_at_once_and_done(working_gateway: Gateway) -> None:
    name = fresh("push")
    answer = await working_gateway.push("flaky", f"/ok/{name}")
    assert answer.status_code == 202
    run = answer.json()
    assert (run["state"], run["duplicate"]) == ("running", False)
    assert run["summary"] == f"POST flaky/ok/{name} · production"
    await in_state(working_gateway, run["id"], "completed")
    assert working_gateway.tieline.systems.ledger.effects(name) == 1


async def test_a_push_that_is_waited_for_answers_with_the_result(working_gateway: Gateway) -> None:
    body = {"type": "json", "value": {"text": fresh("hello")}}
    answer = await working_gateway.push("twitter", "/2/tweets", body=body, wait=30)
    assert answer.status_code == 200
    run = answer.json()
    assert run["state"] == "completed"
    assert run["result"]["call"]["account"] == "twitter"
    assert run["result"]["call"]["body"]["data"]["text"] == body["value"]["text"]  # type: ignore[index]


async def test_a_wait_that_is_too_short_answers_with_what_the_run_does(working_gateway: Gateway) -> None:
    answer = await working_gateway.push("flaky", f"/429x9:after=600/{fresh('slow')}", wait=1)
    assert answer.status_code == 202
    run_id = answer.json()["id"]
    await in_state(working_gateway, run_id, "waiting_to_retry")


async def test_a_run_that_fails_while_it_is_waited_for_is_told_as_a_problem(working_gateway: Gateway) -> None:
    answer = await working_gateway.push("flaky", f"/404x9/{fresh('gone')}", wait=30)
    assert answer.status_code == 424
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["category"], problem["failure"]["status"]) == ("refused", 404)
    assert "correct the operation" in problem["suggested_action"]
    failed = await read(working_gateway, problem["run"])
    assert (failed["state"], failed["failure"]["category"]) == ("failed", "refused")


async def test_a_second_request_with_the_key_of_a_run_under_way_finds_it(idle_gateway: Gateway) -> None:
    name, key = fresh("once"), fresh("order")
    first = await idle_gateway.push("flaky", f"/ok/{name}", key=key)
    second = await idle_gateway.push("flaky", f"/ok/{name}", key=key)
    assert (second.status_code, second.json()["duplicate"]) == (202, True)
    assert second.json()["id"] == first.json()["id"]


async def test_a_second_request_with_the_key_of_a_run_that_has_ended_answers_its_result(
    working_gateway: Gateway,
) -> None:
    name, key = fresh("once"), fresh("order")
    first = await working_gateway.push("flaky", f"/ok/{name}", key=key, wait=30)
    second = await working_gateway.push("flaky", f"/ok/{name}", key=key)
    assert second.status_code == 200
    assert second.json()["result"] == first.json()["result"]
    assert working_gateway.tieline.systems.ledger.effects(name) == 1


async def test_twenty_requests_at_once_with_one_key_start_one_run(working_gateway: Gateway) -> None:
    name, key = fresh("once"), fresh("order")
    answers = await asyncio.gather(*(working_gateway.push("flaky", f"/ok/{name}", key=key, wait=30) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.json()["duplicate"] for answer in answers].count(False) == 1
    assert working_gateway.tieline.systems.ledger.effects(name) == 1


async def test_a_key_that_was_used_for_another_operation_is_a_conflict(working_gateway: Gateway) -> None:
    key = fresh("order")
    first = await working_gateway.push("flaky", f"/ok/{fresh('a')}", key=key)
    answer = await working_gateway.push("flaky", f"/ok/{fresh('b')}", key=key)
    assert (answer.status_code, answer.json()["category"]) == (409, "key_conflict")
    assert f"key {key!r} was already used for another operation" in answer.json()["detail"]
    assert first.json()["id"] in answer.json()["detail"]


async def test_of_different_operations_at_once_with_one_key_one_is_started_and_the_others_are_refused(
    working_gateway: Gateway,
) -> None:
    names, key = [fresh("one") for _ in range(8)], fresh("order")
    answers = await asyncio.gather(*(working_gateway.push("flaky", f"/ok/{name}", key=key, wait=30) for name in names))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    assert sum(working_gateway.tieline.systems.ledger.effects(name) for name in names) == 1


async def test_the_same_operation_by_command_and_by_request_is_one_run_under_one_key(working_gateway: Gateway) -> None:
    name, key = fresh("once"), fresh("order")
    started = await working_gateway.tieline.start("flaky", f"/ok/{name}", method="POST", key=key)
    answer = await working_gateway.push("flaky", f"/ok/{name}", key=key, wait=30)
    assert (answer.json()["id"], answer.json()["duplicate"]) == (started.id, True)


async def test_a_history_tells_what_happened_step_by_step(working_gateway: Gateway) -> None:
    run_id = (await working_gateway.push("flaky", f"/429:after=1/{fresh('again')}", wait=30)).json()["id"]
    steps = (await working_gateway.http.get(f"/v1/runs/{run_id}/history")).json()["steps"]
    told = [step["what"] for step in steps]
    assert told[0] == "started"
    assert any("answered 429" in line for line in told)
    assert told[-1] == "completed"
    assert any(step["failure"] and step["failure"]["category"] == "rate_limited" for step in steps)


async def test_a_decision_ends_a_run_that_waits_and_stands_in_its_history(working_gateway: Gateway) -> None:
    run_id, name = await parked(working_gateway)
    decision = {"action": "skip", "who": "ann", "why": "found it in their ledger", "value": {"id": 7}}
    answer = await working_gateway.http.post(f"/v1/runs/{run_id}/decision", json=decision)
    assert answer.status_code == 200
    await in_state(working_gateway, run_id, "completed")
    assert (await read(working_gateway, run_id))["result"]["decision"]["value"] == {"id": 7}
    steps = (await working_gateway.http.get(f"/v1/runs/{run_id}/history")).json()["steps"]
    assert any("decided skip by ann: found it in their ledger" in step["what"] for step in steps)
    assert working_gateway.tieline.systems.ledger.effects(name) == 1


async def test_a_decision_by_token_notes_the_token_whoever_is_named(gateway: Gateway) -> None:
    run_id, _ = await parked(gateway)
    headers = await gateway.token("runs:decide", "runs:read", name="console")
    decision = {"action": "fail", "who": "ann", "why": "not needed any more"}
    await gateway.http.post(f"/v1/runs/{run_id}/decision", json=decision, headers=headers)

    async def failed() -> bool:
        run = (await gateway.http.get(f"/v1/runs/{run_id}", headers=headers)).json()
        return bool(run["state"] == "failed" and run["decision"]["who"] == "ann (token console)")

    await until(failed)


async def test_a_run_that_waits_for_nothing_refuses_a_decision(working_gateway: Gateway) -> None:
    run_id = (await working_gateway.push("flaky", f"/ok/{fresh('done')}", wait=30)).json()["id"]
    answer = await working_gateway.http.post(f"/v1/runs/{run_id}/decision", json={"action": "retry", "why": "because"})
    assert (answer.status_code, answer.json()["category"]) == (409, "not_waiting")


async def test_a_cancelled_run_ends_and_whoever_waits_for_it_is_told(working_gateway: Gateway) -> None:
    key, path = fresh("order"), f"/429x9:after=600/{fresh('long')}"
    run_id = (await working_gateway.push("flaky", path, key=key)).json()["id"]
    waiting = asyncio.create_task(working_gateway.push("flaky", path, key=key, wait=30))
    await in_state(working_gateway, run_id, "waiting_to_retry")
    assert (await working_gateway.http.post(f"/v1/runs/{run_id}/cancel")).status_code == 202
    answer = await waiting
    assert (answer.status_code, answer.json()["category"]) == (424, "cancelled")
    assert (await read(working_gateway, run_id))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("adapter", "told"), [("flakey", "Did you mean 'flaky'"), ("warehouse", "adapter 'warehouse': there is none")]
)
async def test_an_adapter_that_is_not_bound_is_refused_and_nothing_starts(
    idle_gateway: Gateway, adapter: str, told: str
) -> None:
    answer = await idle_gateway.push(adapter, "/ok/x")
    assert (answer.status_code, answer.json()["category"]) == (422, "unbound")
    assert told in answer.json()["detail"]


async def test_a_run_that_nobody_started_is_not_found(idle_gateway: Gateway) -> None:
    answer = await idle_gateway.http.get(f"/v1/runs/run-{'0' * 32}")
    assert (answer.status_code, answer.json()["category"]) == (404, "not_found")


async def test_who_hangs_up_is_not_waited_for_any_more(idle_gateway: Gateway) -> None:
    before = len(asyncio.all_tasks())
    body = {"profile": PROFILE, "operation": {"adapter": "flaky", "path": "/ok/x"}, "wait": 60}
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    )
    callers = [await asyncio.open_connection("127.0.0.1", idle_gateway.port) for _ in range(5)]
    for _, writer in callers:
        writer.write(head.encode() + b"\r\n\r\n" + content)
    await until(lambda: waits_for_results() == 5)
    for _, writer in callers:
        writer.close()
    await until(lambda: waits_for_results() == 0)
    await until(lambda: len(asyncio.all_tasks()) <= before)


def waits_for_results() -> int:
    """How many results this process waits for."""
    return len([task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == "Runs.result"])


async def test_who_waits_is_answered_at_once_when_the_process_stops(working_gateway: Gateway) -> None:
    with listen("127.0.0.1:0") as listener:
        async with front_door(
            Parts(working_gateway.tieline.stores, working_gateway.tieline.client), listener, UI
        ) as url:
            operation = {"adapter": "flaky", "method": "POST", "path": f"/429x9:after=600/{fresh('long')}"}
            body = {"profile": PROFILE, "operation": operation, "wait": 60}
            waiting = asyncio.create_task(working_gateway.http.post(f"{url}/v1/runs", json=body))
            name = operation["path"].rpartition("/")[2]
            await until(lambda: working_gateway.tieline.systems.ledger.requests(f"/flaky/429x9:after=600/{name}") != [])
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.status_code == 202

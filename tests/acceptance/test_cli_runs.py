"""What an operator does with runs at the command line: list, read, decide, cancel, fetch the answer."""

import json
import uuid
from typing import Any

import pytest

from examples.externalsystems import Systems
from tests.fixtures.commandline import Tieline, waiting_run
from tests.fixtures.processes import Ran


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def told(ran: Ran) -> Any:
    """The JSON document on standard output."""
    return json.loads(ran.output)


async def test_a_call_prints_the_answer_to_standard_output_and_the_rest_beside(tieline_up: Tieline) -> None:
    ran = await tieline_up("call", "parcels", "POST", f"ok/{fresh('lamp')}", "--json", '{"to": "Ada"}')

    assert ran.status == 0
    assert told(ran)["effects"] == 1
    assert "POST parcels/ok/lamp" in ran.errors
    assert "200 through account parcels" in ran.errors


async def test_a_call_is_one_document_for_programs(tieline_up: Tieline) -> None:
    ran = await tieline_up("call", "parcels", "GET", f"ok/{fresh('lamp')}", "--extract", "status", "--output", "json")

    assert ran.status == 0
    document = told(ran)
    assert document["run"].startswith("run-")
    assert document["call"]["status"] == 200
    assert document["call"]["body"] == 200
    assert document["decision"] is None


async def test_a_refused_call_fails_with_who_must_act_and_what_to_do(tieline_up: Tieline) -> None:
    ran = await tieline_up("call", "parcels", "POST", f"404/{fresh('lamp')}")

    assert ran.status == 1
    assert ran.output == ""
    assert "failed: POST parcels/404/lamp" in ran.errors
    assert "Who must act: user. Next step: correct the operation" in ran.errors


async def test_a_failed_call_is_an_error_document_for_programs(tieline_up: Tieline) -> None:
    ran = await tieline_up("call", "parcels", "POST", f"404/{fresh('lamp')}", "-o", "json")

    error = told(ran)["error"]
    assert ran.status == error["exit_status"] == 1
    assert error["failure"]["status"] == 404
    assert error["run"].startswith("run-")


async def test_an_answer_can_be_fetched_later(tieline_up: Tieline) -> None:
    started = await tieline_up("call", "parcels", "POST", f"ok/{fresh('lamp')}", "--no-wait")
    run_id = started.output.strip()

    ran = await tieline_up("runs", "result", run_id[:16])

    assert started.status == ran.status == 0
    assert f"tieline runs result {run_id}" in started.errors
    assert told(ran)["effects"] == 1


async def test_the_same_key_finds_the_first_run_and_sends_nothing(tieline_up: Tieline, systems: Systems) -> None:
    parcel, key = fresh("lamp"), fresh("key")
    first = await tieline_up("call", "parcels", "POST", f"ok/{parcel}", "--key", key, "-o", "json")

    again = await tieline_up("call", "parcels", "POST", f"ok/{parcel}", "--key", key, "-o", "json")
    other = await tieline_up("call", "parcels", "POST", f"ok/{fresh('desk')}", "--key", key)

    assert (told(first)["run"], told(first)["duplicate"]) == (told(again)["run"], False)
    assert told(again)["duplicate"] is True
    assert systems.ledger.effects(parcel) == 1
    assert other.status == 2
    assert f"key '{key}' was already used for another operation" in other.errors


async def test_progress_says_why_a_run_waits_and_the_end_of_the_wait_is_its_own_status(tieline_up: Tieline) -> None:
    ran = await tieline_up("call", "parcels", "POST", f"429:after=60/{fresh('lamp')}", "--wait", "1.5")

    assert ran.status == 4
    assert "it will be sent again by itself: POST parcels/429:after=60/lamp" in ran.errors
    assert "has not ended within 1.5 seconds (" in ran.errors
    assert ") and goes on: tieline runs result run-" in ran.errors


async def test_a_run_with_an_unknown_outcome_names_the_command_that_decides(tieline_up: Tieline) -> None:
    run_id = await waiting_run(tieline_up, fresh("desk"))

    shown = await tieline_up("runs", "show", run_id)

    assert shown.status == 0
    assert "waiting for decision" in shown.output
    assert "outcome unknown: POST parcels/cut/desk" in shown.output
    assert "wait 30d, then give up waiting for a decision" in shown.output
    assert "Who must act: operator. Next step: look in the external system" in shown.output
    assert shown.output.endswith(f"tieline runs decide {run_id} retry|skip|fail --why TEXT\n")


async def test_a_run_that_waits_is_a_finding_of_doctor(tieline_up: Tieline) -> None:
    run_id = await waiting_run(tieline_up, fresh("desk"))

    ran = await tieline_up("doctor", "-o", "json")

    assert ran.status == 1
    (finding,) = [each for each in told(ran) if each["suggested_action"] == f"tieline runs show {run_id}"]
    assert finding["state"] == "wrong"


async def test_skip_ends_a_run_with_the_decided_value(tieline_up: Tieline, systems: Systems) -> None:
    desk = fresh("desk")
    run_id = await waiting_run(tieline_up, desk)

    decided = await tieline_up(
        "runs", "decide", run_id, "skip", "--why", "it is there", "--who", "ada", "--value", '{"parcel": 7}'
    )
    result = await tieline_up("runs", "result", run_id)
    shown = await tieline_up("runs", "show", run_id)

    assert decided.output == f"{run_id}: skip, decided by ada\n"
    assert told(result) == {"parcel": 7}
    assert "skipped by ada: it is there" in result.errors
    assert "decided skip by ada: it is there" in shown.output
    assert systems.ledger.effects(desk) == 1


async def test_retry_sends_again(tieline_up: Tieline, systems: Systems) -> None:
    desk = fresh("desk")
    run_id = await waiting_run(tieline_up, desk)

    decided = await tieline_up("runs", "decide", run_id, "retry", "--why", "it is not there", "-o", "json")
    result = await tieline_up("runs", "result", run_id)

    assert told(decided)["decision"]["action"] == "retry"
    assert result.status == 0
    assert systems.ledger.effects(desk) == 2


async def test_fail_ends_a_run_failed_and_says_who_decided(tieline_up: Tieline) -> None:
    run_id = await waiting_run(tieline_up, fresh("desk"))

    await tieline_up("runs", "decide", run_id, "fail", "--why", "entered by hand", "--who", "ada")
    result = await tieline_up("runs", "result", run_id)

    assert result.status == 1
    assert "Decided by ada: entered by hand" in result.errors


async def test_a_run_that_has_ended_takes_no_decision_and_no_cancellation(tieline_up: Tieline) -> None:
    started = await tieline_up("call", "parcels", "GET", f"ok/{fresh('lamp')}", "-o", "json")
    run_id = told(started)["run"]

    decided = await tieline_up("runs", "decide", run_id, "retry", "--why", "once more")
    cancelled = await tieline_up("runs", "cancel", run_id)

    assert decided.status == cancelled.status == 2
    assert f"run {run_id} has ended: tieline runs show {run_id}" in decided.errors
    assert f"run {run_id} has ended (completed), so nothing was cancelled" in cancelled.errors


async def test_a_run_that_does_not_wait_takes_no_decision(tieline_up: Tieline) -> None:
    started = await tieline_up("call", "parcels", "POST", f"429:after=60/{fresh('lamp')}", "--wait", "1", "-o", "json")

    decided = await tieline_up("runs", "decide", told(started)["error"]["run"], "retry", "--why", "sooner")

    assert decided.status == 2
    assert "is not waiting for a decision: tieline runs show run-" in decided.errors


async def test_a_run_is_cancelled_while_it_waits_and_twice_is_once(tieline_up: Tieline) -> None:
    run_id = await waiting_run(tieline_up, fresh("desk"))

    first = await tieline_up("runs", "cancel", run_id, "-o", "json")
    result = await tieline_up("runs", "result", run_id)
    second = await tieline_up("runs", "cancel", run_id)

    assert told(first) == {"run": run_id, "cancel": "requested"}
    assert (result.status, second.status) == (1, 0)
    assert f"run {run_id} was cancelled" in result.errors


async def test_a_beginning_that_several_runs_share_names_them(tieline_up: Tieline) -> None:
    await tieline_up("call", "parcels", "GET", f"ok/{fresh('a')}", "--no-wait")
    await tieline_up("call", "parcels", "GET", f"ok/{fresh('b')}", "--no-wait")

    ran = await tieline_up("runs", "show", "run-")

    assert ran.status == 2
    assert "several runs begin with run-: run-" in ran.errors


async def test_a_run_that_no_worker_takes_up_says_so(tieline_up: Tieline) -> None:
    ran = await tieline_up(
        "call", "parcels", "GET", f"ok/{fresh('lamp')}", "--wait", "4", "-o", "json", task_queue="nobody"
    )
    run_id = told(ran)["error"]["run"]

    shown = await tieline_up("runs", "show", run_id)

    assert ran.status == 4
    advice = "no worker polls task queue nobody, so the run waits: start one with `tieline worker`, or `tieline up`"
    assert advice in ran.errors
    assert shown.output.endswith(f"{advice}\n")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--adapter", "parcels", "--profile", "dev"), True),
        (("--definition", "parcels", "--since", "1h"), True),
        (("--state", "waiting for decision"), True),
        (("--state", "running", "--until", "2999-01-01"), True),
        (("--state", "completed"), False),
        (("--adapter", "nobody"), False),
        (("--profile", "production"), False),
        (("--until", "2001-01-01"), False),
    ],
)
async def test_runs_are_found_by_state_adapter_profile_definition_and_time(
    tieline_up: Tieline, parked: str, options: tuple[str, ...], found: bool
) -> None:
    ran = await tieline_up("runs", "list", *options, "--limit", "10000")

    assert ran.status == 0
    assert (parked in ran.output) is found


@pytest.fixture(scope="module")
async def parked(tieline_up: Tieline) -> str:
    return await waiting_run(tieline_up, fresh("desk"))

"""What a person sees of runs that wait for an account: cause, account, since when, and the command that mends it."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import update

from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.doctor_accounts import parked_findings
from runtime.findings import Finding, State
from runtime.run_filter import RunFilter
from runtime.temporal_server import TemporalAddress
from storage.accounts import ACTIVE
from storage.schema import accounts
from tests.fixtures.authorization_server import StrictServer
from tests.fixtures.commandline import Tieline
from tests.fixtures.gateway import Gateway, opened_gateway
from tests.fixtures.http import serving
from tests.fixtures.parking import ORDERS, World, open_world
from tests.fixtures.processes import Ran
from tests.fixtures.waiting import until

CAUSE = "account 'main': the provider no longer accepts its grant (invalid_grant)"
MENDS = "connect it again: tieline accounts connect main"
WAITS = "waiting_for_reconnect"


@dataclass
class Hand:
    """Two runs wait for account `main`; `type` commands, and ask the gateway."""

    world: World
    type: Tieline
    gateway: Gateway
    runs: list[str]

    async def another(self, name: str) -> str:
        """One more that waits, for a test of its own."""
        run = await self.world.order(name)

        async def waits() -> bool:
            return (await self.world.tieline.runs.summary(run.id)).state == WAITS

        await until(waits)
        return run.id


@pytest_asyncio.fixture(scope="module")
async def hand(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress, systems: Systems
) -> AsyncIterator[Hand]:
    folder, server = tmp_path_factory.mktemp("at-hand"), StrictServer()
    async with (
        serving(server),
        open_world(folder, temporal_server.address, systems, server) as world,
        open_worker(world.tieline.stores, world.tieline.client),
        opened_gateway(world.tieline) as gateway,
    ):
        world.end_grant()
        hand = Hand(world, Tieline(folder, world.tieline.environment()), gateway, [])
        hand.runs += [await hand.another("first"), await hand.another("second")]
        yield hand


def told(ran: Ran) -> Any:
    """The JSON document on standard output."""
    return json.loads(ran.output)


def check_waiting(run: Any) -> None:
    """What programs read of a run that waits."""
    assert (run["state"], run["account"], run["waiting"]["account"]) == (WAITS, "main", "main")
    assert (run["waiting"]["message"], run["waiting"]["next_step"]) == (CAUSE, MENDS)
    assert datetime.fromisoformat(run["waiting"]["since"]) >= datetime.fromisoformat(run["started"])


async def test_a_list_tells_once_for_each_account_why_since_when_and_what_mends_it(hand: Hand) -> None:
    ran = await hand.type("runs", "list", "--state", WAITS, "--account", "main")
    assert ran.status == 0
    assert all(
        re.search(rf"{run} +waiting for reconnect +POST shop{ORDERS} · production", ran.output) for run in hand.runs
    )
    text = " ".join(ran.output.split())
    assert text.count(CAUSE) == 1
    assert re.search(r"of these runs wait for it, the longest since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\. Next step: ", text)
    assert MENDS in text


async def test_a_list_for_programs_tells_it_of_each_run(hand: Hand) -> None:
    ran = await hand.type("runs", "list", "--state", WAITS, "--adapter", "shop", "--account", "main", "-o", "json")
    found = {run["id"]: run for run in told(ran)}
    assert set(hand.runs) <= found.keys()
    check_waiting(found[hand.runs[0]])


async def test_a_run_is_shown_with_cause_account_since_when_and_the_command(hand: Hand) -> None:
    ran = await hand.type("runs", "show", hand.runs[0])
    text = " ".join(ran.output.split())
    assert re.search(r"account main waits since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)
    assert f"waits for its account: POST shop{ORDERS} · production: {CAUSE}" in text
    assert f"run {hand.runs[0]} waits for its account, and goes on by itself when that works" in text
    assert f"Who must act: operator. Next step: {MENDS}" in text
    check_waiting(told(await hand.type("runs", "show", hand.runs[0], "-o", "json")))


@pytest.mark.parametrize("command", ["call", "result"])
async def test_who_waits_at_the_terminal_is_told_what_for_and_goes_with_status_4(hand: Hand, command: str) -> None:
    arguments = {
        "call": ("call", "shop", "POST", ORDERS, "--json", '{"order": "typed"}', "--profile", "production"),
        "result": ("runs", "result", hand.runs[0]),
    }
    ran = await hand.type(*arguments[command], "--wait", "3")
    text = " ".join(ran.errors.split())
    assert ran.status == 4
    assert "waits for its account, and goes on by itself when that works" in text
    assert CAUSE in text
    assert MENDS in text


async def test_a_run_that_waits_is_cancelled_at_the_command_line(hand: Hand) -> None:
    run = await hand.another("to be cancelled")
    ran = await hand.type("runs", "cancel", run)
    assert (ran.status, ran.output) == (0, f"{run}: cancellation requested\n")

    async def ended() -> bool:
        return (await hand.world.tieline.runs.summary(run)).state == "cancelled"

    await until(ended)


async def test_a_run_that_waits_is_decided_about_at_the_command_line(hand: Hand) -> None:
    run = await hand.another("to be skipped")
    decided = await hand.type("runs", "decide", run, "skip", "--why", "sent by hand", "--who", "ann", "--value", "7")
    result = await hand.type("runs", "result", run)
    assert (decided.status, result.status, result.output.strip()) == (0, 0, "7")


async def test_the_doctor_tells_the_account_how_many_wait_and_the_command(hand: Hand) -> None:
    ran = await hand.type("doctor", "-o", "json")
    findings = [each for each in told(ran) if each["subject"] in ("account main", "runs")]
    mends = "tieline accounts connect main"
    assert ran.status == 1
    assert ("needs reconnect (invalid_grant)", mends) in [
        (each["message"], each.get("suggested_action")) for each in findings
    ]
    assert any(
        re.fullmatch(r"\d+ wait for account main", each["message"]) and each.get("suggested_action") == mends
        for each in findings
    )


async def test_the_doctor_does_not_overlook_runs_whose_account_works_again(hand: Hand) -> None:
    """Their signals are on the way, or nobody has asked for a token yet."""
    stores, runs = hand.world.tieline.stores, hand.world.tieline.runs
    async with stores.database.write() as connection:
        await connection.execute(update(accounts).where(accounts.c.name == "main").values(state=ACTIVE))
    try:
        findings = [each async for each in parked_findings(stores, runs) if " account main" in each.message]
    finally:
        async with stores.database.write() as connection:
            await connection.execute(update(accounts).where(accounts.c.name == "main").values(state="needs_reconnect"))
    assert [(each.state, each.action) for each in findings] == [
        (State.NOTE, "tieline runs list --state waiting_for_reconnect")
    ]
    assert isinstance(findings[0], Finding)


async def test_runs_that_wait_are_not_among_those_whose_call_is_being_made(hand: Hand) -> None:
    """Temporal is asked about each of these: parked ones may be thousands."""
    runs = hand.world.tieline.runs
    under_way = {run.id async for run in runs.list(RunFilter(state="running"))}
    calling = {run.id async for run in runs.list(RunFilter(calling=True))}
    assert under_way >= set(hand.runs)
    assert calling.isdisjoint(hand.runs)


async def test_the_api_lists_runs_that_wait_for_an_account(hand: Hand) -> None:
    answer = await hand.gateway.http.get("/v1/runs", params={"state": WAITS, "account": "main", "limit": 1000})
    found = {run["id"]: run for run in answer.json()["runs"]}
    assert set(hand.runs) <= found.keys()
    check_waiting(found[hand.runs[0]])


async def test_the_api_lists_no_run_of_another_account(hand: Hand) -> None:
    answer = await hand.gateway.http.get("/v1/runs", params={"state": WAITS, "account": "nobody's"})
    assert answer.json()["runs"] == []


async def test_a_push_that_is_waited_for_answers_what_it_waits_for(hand: Hand) -> None:
    body = {"type": "json", "value": {"order": "pushed"}}
    answer = await hand.gateway.push("shop", ORDERS, body=body, wait=3)
    assert answer.status_code == 202
    check_waiting(answer.json())
    check_waiting((await hand.gateway.http.get(f"/v1/runs/{answer.json()['id']}")).json())

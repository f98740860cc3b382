"""The example app, as somebody who copies it would run it."""

import asyncio
import json
import os
import socket
import sys
import uuid

from definitions.loading import load_text
from runtime.profiles import bind
from tests.fixtures.gateway import Gateway
from tests.fixtures.processes import Ran
from tests.fixtures.tieline import PROFILE
from tests.fixtures.waiting import until


async def pushed(gateway: Gateway, order: str, email: str, **environment: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.push_app", order, email),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TIELINE_API": gateway.url, **environment},
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Ran(process.returncode, output.decode(), errors.decode())


async def test_an_order_that_is_pushed_twice_is_one_lead(gateway: Gateway) -> None:
    order, email = uuid.uuid4().hex[:8], f"{uuid.uuid4().hex[:8]}@shop.example"
    first, second = await pushed(gateway, order, email), await pushed(gateway, order, email)
    assert (first.status, second.status) == (0, 0), first.errors
    told, answer = first.output.splitlines()
    assert told.endswith(": completed")
    assert json.loads(answer)["lead"]["email"] == email
    assert second.output == first.output.replace("completed", "completed, pushed before")
    assert gateway.tieline.systems.ledger.effects(email) == 1


CUT = """
kind: integration
key: cut-crm
name: A CRM whose answers get lost
base_url: http://%s/flaky/cut
auth: {type: none}
"""


async def waiting_run(gateway: Gateway) -> str:
    """The run that waits for a decision; no other test has such an integration."""
    found: list[str] = []

    async def waits() -> bool:
        listing = {"state": "waiting_for_decision", "definition": "cut-crm"}
        found.extend(run["id"] for run in (await gateway.http.get("/v1/runs", params=listing)).json()["runs"])
        return bool(found)

    await until(waits)
    return found[0]


async def test_an_order_that_somebody_settled_by_hand_shows_the_value(gateway: Gateway) -> None:
    order, email = uuid.uuid4().hex[:8], f"{uuid.uuid4().hex[:8]}@shop.example"
    stores, server = gateway.tieline.stores, gateway.tieline.systems.flaky_server
    await stores.definitions.apply(load_text(CUT % server, "cut.yaml"))
    await stores.accounts.create("cut", "cut-crm", {}, {})
    await bind(stores, PROFILE, "crm", "cut")
    waiting = asyncio.create_task(pushed(gateway, order, email))
    run_id = await waiting_run(gateway)
    decision = {"action": "skip", "why": "entered by hand", "value": {"lead": 7}}
    await gateway.http.post(f"/v1/runs/{run_id}/decision", json=decision)
    told = (await waiting).output.splitlines()
    assert told == [f"{run_id}: completed", '{"lead": 7}']


async def test_a_push_to_nobody_says_that_it_can_be_pushed_again(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    ran = await pushed(gateway, "1", "ann@shop.example", TIELINE_API=nobody)
    assert ran.status == 1
    assert ran.errors.startswith(f"{nobody} did not answer")


async def test_a_push_with_a_token_needs_that_token(gateway: Gateway) -> None:
    token = (await gateway.token("runs:start"))["Authorization"].removeprefix("Bearer ")
    order, email = uuid.uuid4().hex[:8], f"{uuid.uuid4().hex[:8]}@shop.example"
    without = await pushed(gateway, order, email)
    assert without.status == 1
    assert without.errors.startswith(
        "not pushed (unauthorized): this needs an API token\nNext step: send Authorization"
    )
    assert (await pushed(gateway, order, email, TIELINE_TOKEN=token)).status == 0

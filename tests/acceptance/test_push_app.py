"""The example app, as somebody who copies it would run it."""

import asyncio
import json
import os
import sys
import uuid

from tests.fixtures.gateway import Gateway
from tests.fixtures.processes import Ran


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


async def test_a_push_with_a_token_needs_that_token(gateway: Gateway) -> None:
    token = (await gateway.token("runs:start"))["Authorization"].removeprefix("Bearer ")
    order, email = uuid.uuid4().hex[:8], f"{uuid.uuid4().hex[:8]}@shop.example"
    without = await pushed(gateway, order, email)
    assert without.status == 1
    assert without.errors.startswith(
        "not pushed (unauthorized): this needs an API token\nNext step: send Authorization"
    )
    assert (await pushed(gateway, order, email, TIELINE_TOKEN=token)).status == 0

"""What `tieline doctor` and `tieline accounts show` say of renewing ahead."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update
from temporalio.service import RPCError

from definitions.refs import CredentialRef
from runtime.assembly import open_resolver
from runtime.doctor_refresh import sweep_finding, token_findings
from runtime.findings import Finding, State
from runtime.schedules import keep_sweep, sweep_id
from storage.database import db_now
from storage.schema import tokens
from storage.token_hosts import host_failed, shut_host, stop_client
from tests.fixtures.processes import tieline_command
from tests.fixtures.tieline import PROFILE, Installation
from tests.fixtures.waiting import until


@pytest.fixture
async def held(idle: Installation) -> AsyncIterator[Installation]:
    """The account `twitter` holds a token; a schedule that a test makes goes with it."""
    async with open_resolver(idle.stores) as (resolver, _):
        await resolver.resolve(CredentialRef(adapter="twitter", profile=PROFILE))
    yield idle
    try:
        await idle.client.get_schedule_handle(sweep_id(idle.stores.settings.task_queue)).delete()
    except RPCError:
        return


async def due_since(tieline: Installation, seconds: float) -> None:
    async with tieline.stores.database.write() as connection:
        await connection.execute(update(tokens).where(tokens.c.version > 0).values(refresh_at=db_now() - seconds))


async def found(tieline: Installation) -> list[Finding]:
    return await token_findings(tieline.stores.database)


async def sweep_told(tieline: Installation) -> Finding:
    return await sweep_finding(tieline.client, tieline.stores.settings.task_queue)


async def test_the_doctor_tells_that_nothing_is_due(held: Installation) -> None:
    assert await found(held) == [Finding("tokens", State.OK, "none is due for renewal")]


async def test_the_doctor_tells_what_is_due(held: Installation) -> None:
    await due_since(held, 20)
    assert await found(held) == [Finding("tokens", State.OK, "1 due for renewal, none overdue")]


async def test_the_doctor_finds_it_wrong_that_something_is_overdue(held: Installation) -> None:
    await due_since(held, 3 * 3600 + 5)
    [finding] = await found(held)
    assert finding.state is State.WRONG
    assert finding.message == "1 due for renewal, 1 overdue, the longest for 3 h"


async def test_the_doctor_names_the_hosts_and_clients_for_which_the_sweep_waits(held: Installation) -> None:
    await due_since(held, 3600)
    async with held.stores.database.write() as connection:
        await host_failed(connection, "auth.example.com")
        await shut_host(connection, "auth.example.com", 500)
        await stop_client(connection, "c", "login.example.com", "client_refused", 3600)
    told, host, client = await found(held)
    assert told.state is State.NOTE
    assert (host.state, client.state) == (State.NOTE, State.WRONG)
    assert host.message.startswith("auth.example.com fails or asks for rest: left alone for another 8 min")
    assert client.message == "refused at login.example.com (client_refused), 0 accounts wait"


async def test_the_doctor_finds_a_missing_schedule_wrong(held: Installation) -> None:
    assert (await sweep_told(held)).told == "is not scheduled: a worker schedules it when it starts"


async def test_the_doctor_tells_when_the_sweep_last_began(held: Installation) -> None:
    queue = held.stores.settings.task_queue
    await keep_sweep(held.client, queue)
    assert (await sweep_told(held)).state is not State.WRONG
    await held.client.get_schedule_handle(sweep_id(queue)).trigger()

    async def began() -> bool:
        return "last began" in (await sweep_told(held)).message

    await until(began)
    assert (await sweep_told(held)).state is State.OK


async def test_the_doctor_tells_that_somebody_paused_the_sweep(held: Installation) -> None:
    queue = held.stores.settings.task_queue
    await keep_sweep(held.client, queue)
    await held.client.get_schedule_handle(sweep_id(queue)).pause(note="moving to another provider")
    finding = await sweep_told(held)
    assert finding.state is State.NOTE
    assert finding.message.startswith("is paused (moving to another provider)")
    assert f"--schedule-id {sweep_id(queue)}" in (finding.action or "")


async def test_an_account_shows_when_its_token_ends_and_when_it_is_renewed(held: Installation) -> None:
    shown = json.loads((await tieline_command(held, "accounts", "show", "twitter", "-o", "json")).output)
    assert shown["token_version"] == 1
    assert shown["updated_at"] < shown["token_renews_at"] < shown["token_expires_at"]
    assert (shown["refresh_token_expires_at"], shown["token_last_error"]) == (None, None)


async def test_an_account_without_a_token_shows_none(held: Installation) -> None:
    ran = await tieline_command(held, "accounts", "show", "crm")
    assert ran.status == 0
    assert "token" not in ran.output


async def test_the_command_tells_it_all(held: Installation) -> None:
    ran = await tieline_command(held, "doctor")
    assert ran.status == 1
    assert "none is due for renewal" in ran.output
    assert "refresh sweep" in ran.output

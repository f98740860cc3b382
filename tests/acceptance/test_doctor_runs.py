"""Runs whose server is away: Temporal repeats them in silence, so the doctor has to tell of them."""

import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio

from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.doctor_runs import retrying_findings
from runtime.findings import Finding, State
from runtime.profiles import bind
from runtime.temporal_server import TemporalAddress
from tests.fixtures.sftp_runs import ADAPTER, SftpWorld, open_sftp_world
from tests.fixtures.sshd import Sshd
from tests.fixtures.tieline import PROFILE
from tests.fixtures.waiting import until

AT_ONCE = timedelta(0)
ACCOUNT = "away-tonight"


@pytest_asyncio.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress, systems: Systems, sshd: Sshd
) -> AsyncIterator[SftpWorld]:
    """Two runs whose server does not answer, through an account that no other test has."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone = replace(sshd, port=taken.getsockname()[1])
    folder = tmp_path_factory.mktemp("away")
    async with (
        open_sftp_world(folder, temporal_server.address, systems, gone) as world,
        open_worker(world.tieline.stores, world.tieline.client),
    ):
        secrets = {"username": sshd.username, "private_key": world.private_key}
        await world.tieline.stores.accounts.create(ACCOUNT, ADAPTER, {}, secrets, host_keys=[sshd.public_key()])
        await bind(world.tieline.stores, PROFILE, ADAPTER, ACCOUNT)
        runs = [(await world.start("list")).id for _ in range(2)]
        yield world
        for run in runs:
            await world.tieline.runs.cancel(run)


async def told(world: SftpWorld, long: timedelta) -> list[Finding]:
    client, runs = world.tieline.client, world.tieline.runs
    return [each async for each in retrying_findings(client, runs, long) if ACCOUNT in each.message]


async def test_the_doctor_tells_once_for_each_account_what_fails_since_when_and_when_it_is_tried_again(
    world: SftpWorld,
) -> None:
    async def of_both() -> bool:
        found = await told(world, AT_ONCE)
        return bool(found) and found[0].message.startswith("2 are") and " at " in found[0].message

    await until(of_both)
    [finding] = await told(world, AT_ONCE)

    assert finding.state is State.WRONG
    since = r"\(the longest since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, attempt \d+\)"
    why = r".*127\.0\.0\.1:\d+.*refused.*; next attempt (at \d\d:\d\d:\d\d UTC|under way)"
    assert re.fullmatch(f"2 are tried again and again with account {ACCOUNT} {since}: {why}", finding.message)
    assert finding.action is not None
    assert re.fullmatch(
        rf"check that the host and port of account {ACCOUNT} can be reached from here; tieline runs show run-\w+",
        finding.action,
    )


async def test_the_doctor_tells_of_no_run_that_has_begun_just_now(world: SftpWorld) -> None:
    assert await told(world, timedelta(minutes=5)) == []

"""When people are told that an account died, and that it works again; and who is woken, whatever brought it back."""

import asyncio
import time

import pytest
from sqlalchemy import select

from auth.credential import OpenAccount
from auth.errors import CredentialError, NeedsReconnect
from auth.standing import died, well_again
from definitions.loading import load_text
from definitions.refs import CredentialRef
from storage.accounts import DISCONNECTED, NEEDS_RECONNECT, set_account_state
from storage.schema import accounts
from storage.tokens import lock_token
from tests.fixtures.refreshing import CLIENT, Bench, client_credentials
from tests.fixtures.token_endpoint import TokenEndpoint, refusal, token
from tests.fixtures.waiting_runs import Lobby, ticket, waiter

ROBOT = CredentialRef(adapter="robot", profile="dev")
DEAD = NeedsReconnect("account 'main' is dead", action="connect it again", account="main")


async def dies_of(lobby: Lobby, cause: str) -> None:
    database, opened = lobby.connecting.bench.database, lobby.main
    async with database.write() as connection:
        await lock_token(connection, opened.account.id)
        await died(connection, opened, cause, DEAD, time.time())


async def is_well(lobby: Lobby) -> None:
    async with lobby.connecting.bench.database.write() as connection:
        await lock_token(connection, lobby.main.account.id)
        await well_again(connection, lobby.main.account.id, time.time())


async def test_a_thousand_failures_make_one_notification(sqlite_lobby: Lobby) -> None:
    database, opened = sqlite_lobby.connecting.bench.database, sqlite_lobby.main
    async with database.write() as connection:
        for _ in range(1_000):
            await died(connection, opened, "invalid_grant", DEAD, time.time())
    assert [each.cause for each in await sqlite_lobby.told()] == ["invalid_grant"]


async def test_processes_that_find_the_same_at_once_tell_it_once(lobby: Lobby) -> None:
    await asyncio.gather(*(dies_of(lobby, "invalid_grant") for _ in range(30)))
    assert [each.kind for each in await lobby.told()] == ["needs_reconnect"]


@pytest.mark.parametrize(
    ("causes", "told"),
    [
        (["invalid_grant", "invalid_grant"], ["invalid_grant"]),
        (["invalid_grant", "lost_reply", "lost_reply"], ["invalid_grant", "lost_reply"]),
        (["invalid_grant", "well", "invalid_grant"], ["invalid_grant", None, "invalid_grant"]),
        (["well", "well"], []),
        (["x" * 80, "x" * 80], ["x" * 80]),
    ],
    ids=["same", "another", "well-between", "never-dead", "long"],
)
async def test_people_are_told_of_each_cause_once_until_it_is_well(
    lobby: Lobby, causes: list[str], told: list[str | None]
) -> None:
    for cause in causes:
        await (is_well(lobby) if cause == "well" else dies_of(lobby, cause))
    assert [each.cause for each in await lobby.told()] == told


async def test_what_people_are_told_names_account_integration_cause_and_command(lobby: Lobby) -> None:
    await lobby.die()
    [told] = await lobby.told()
    assert (told.kind, told.account, told.integration, told.cause) == (
        "needs_reconnect",
        "main",
        "of-main",
        "invalid_grant",
    )
    assert told.next_step == "connect it again: tieline accounts connect main"


async def test_a_late_answer_does_not_revive_an_account_that_somebody_disconnected(lobby: Lobby) -> None:
    await dies_of(lobby, "invalid_grant")
    async with lobby.connecting.bench.database.write() as connection:
        await set_account_state(connection, lobby.main.account.id, DISCONNECTED, None)
    await is_well(lobby)
    assert (await lobby.connecting.bench.account(lobby.main)).state == DISCONNECTED
    assert [each.kind for each in await lobby.told()] == ["needs_reconnect"]


async def test_runs_of_a_disconnected_account_wait_and_go_on_when_it_is_connected(lobby: Lobby) -> None:
    await lobby.connecting.disconnector.disconnect("main")
    assert await lobby.park(1)
    await lobby.connect()
    assert await lobby.woken() == [ticket(1)]


async def test_nobody_is_told_of_a_disconnect(lobby: Lobby) -> None:
    await lobby.connecting.disconnector.disconnect("main")
    await lobby.connect()
    assert await lobby.told() == []


async def robot(bench: Bench, endpoint: TokenEndpoint) -> OpenAccount:
    """An account of client credentials whose grant the provider has just refused."""
    endpoint.answer(refusal(400, "invalid_grant"))
    opened = await bench.connect(client_credentials(endpoint.url), CLIENT, name="robot")
    await bench.definitions.apply(load_text("kind: profile\nname: dev\nadapters: {robot: robot}", "p.yaml"))
    with pytest.raises(CredentialError):
        await bench.process().ensure(opened)
    assert (await bench.account(opened)).state == NEEDS_RECONNECT
    return opened


async def test_new_secrets_and_the_token_they_bring_wake_the_runs_of_an_account_without_a_person(
    lobby: Lobby, endpoint: TokenEndpoint
) -> None:
    bench = lobby.connecting.bench
    await robot(bench, endpoint)
    assert await bench.resolver().park(waiter(1, ROBOT))
    endpoint.answer(token("good"))
    await bench.accounts.set_secrets("robot", CLIENT)
    before = await lobby.woken()
    await bench.process().ensure(await bench.open("robot"))
    assert (before, await lobby.woken()) == ([], [ticket(1)])
    assert [each.kind for each in await lobby.told()] == ["needs_reconnect", "reconnected"]


async def test_a_corrected_definition_is_tried_and_wakes_the_runs_of_its_accounts(
    lobby: Lobby, endpoint: TokenEndpoint
) -> None:
    bench = lobby.connecting.bench
    opened = await robot(bench, endpoint)
    await bench.resolver().park(waiter(1, ROBOT))
    endpoint.answer(token("good"))
    await bench.define(client_credentials(endpoint.url, {"scopes": ["right"]}), key="of-robot")
    due = await bench.row(opened)
    await bench.process().ensure(await bench.open("robot"))
    assert due.state == "active"
    assert due.refresh_at == pytest.approx(due.now, abs=30)
    assert (await lobby.woken(), await lobby.waiting()) == ([ticket(1)], [])
    assert [each.kind for each in await lobby.told()] == ["needs_reconnect", "reconnected"]


async def test_new_secrets_that_are_refused_too_wake_nobody_and_tell_nobody_again(
    lobby: Lobby, endpoint: TokenEndpoint
) -> None:
    bench = lobby.connecting.bench
    await robot(bench, endpoint)
    await bench.resolver().park(waiter(1, ROBOT))
    await bench.accounts.set_secrets("robot", CLIENT)
    with pytest.raises(NeedsReconnect):
        await bench.process().ensure(await bench.open("robot"))
    assert (await lobby.woken(), await lobby.waiting()) == ([], [ticket(1)])
    assert [each.kind for each in await lobby.told()] == ["needs_reconnect"]


async def test_a_run_that_comes_when_secrets_were_saved_and_no_token_was_asked_for_is_told_to_look_again(
    lobby: Lobby, endpoint: TokenEndpoint
) -> None:
    bench = lobby.connecting.bench
    await robot(bench, endpoint)
    await bench.accounts.set_secrets("robot", CLIENT)
    assert not await bench.resolver().park(waiter(1, ROBOT))


async def test_what_people_were_told_is_kept_with_the_account(lobby: Lobby) -> None:
    await dies_of(lobby, "lost_reply")
    async with lobby.connecting.bench.database.read() as connection:
        query = select(accounts.c.told_cause).where(accounts.c.name == "main")
        assert await connection.scalar(query) == "lost_reply"

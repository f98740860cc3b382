"""Runs that wait are woken when their account may work, also where nobody else would ask for it."""

import dataclasses
import json

import pytest

from auth.errors import CredentialError, NeedsReconnect
from definitions.loading import load_text
from definitions.refs import CredentialRef
from storage.accounts import DISCONNECTED
from storage.waiters import wanting
from tests.fixtures.authorization_server import TOKEN, instead
from tests.fixtures.consented import authorization_code
from tests.fixtures.refreshing import CLIENT, client_credentials
from tests.fixtures.token_endpoint import TokenEndpoint, refusal, token
from tests.fixtures.waiting_runs import PROFILE, SHOP, Lobby, ticket, waiter

KEY = CredentialRef(adapter="key", profile="dev")
WITH_A_KEY = {
    "kind": "integration",
    "key": "with-a-key",
    "name": "with a key",
    "base_url": "https://api.example.com",
    "auth": {"type": "api_token", "place": [{"in": "header", "name": "X-Key", "value": "{token}"}]},
}


async def look(lobby: Lobby) -> None:
    """As a worker does every few seconds."""
    bench = lobby.connecting.bench
    async with bench.database.read() as connection:
        found = await wanting(connection)
    for account_id, version in found.items():
        await bench.resolver().revive(account_id, version)


async def wanted(lobby: Lobby) -> list[str]:
    """The accounts that a worker would try now, by name."""
    bench = lobby.connecting.bench
    async with bench.database.read() as connection:
        ids = set(await wanting(connection))
    return [account.name for account in await bench.accounts.list() if account.id in ids]


async def test_a_key_that_was_replaced_wakes_the_runs_that_wait_for_it(lobby: Lobby) -> None:
    bench = lobby.connecting.bench
    await bench.definitions.apply(load_text(json.dumps(WITH_A_KEY), "key.yaml"))
    await bench.accounts.create("key", "with-a-key", {}, {"token": "planted-token-1234"})
    await bench.definitions.apply(load_text("kind: profile\nname: dev\nadapters: {key: key}", "dev.yaml"))
    await lobby.connecting.disconnector.disconnect("key")
    assert await lobby.park(1, KEY)
    before = await wanted(lobby)
    await bench.accounts.set_secrets("key", {"token": "planted-token-5678"})
    after = await wanted(lobby)
    await look(lobby)
    assert (before, after) == ([], ["key"])
    assert await lobby.woken() == [ticket(1)]


async def test_a_token_that_has_not_expired_proves_nothing_and_wakes_nobody(lobby: Lobby) -> None:
    """The provider ended the grant; the access token in the vault is good by its date for an hour still."""
    await lobby.die()
    bench = lobby.connecting.bench
    now = (await bench.row(lobby.main)).now
    await bench.set_token_row(lobby.main, access_expires_at=now + 3600)
    assert await lobby.park(1)
    told = len(await lobby.told())
    await bench.define(authorization_code(lobby.connecting.server, keep_alive="2d"))
    assert await wanted(lobby) == ["main"]
    with pytest.raises(NeedsReconnect):
        await look(lobby)
    assert (await lobby.woken(), len(await lobby.told())) == ([], told)


async def test_a_run_that_has_parked_before_is_woken_once(lobby: Lobby) -> None:
    await lobby.die()
    for step in range(3):
        again = dataclasses.replace(waiter(1, SHOP), ticket=f"{step}".zfill(32))
        assert await lobby.resolver.park(again)
    await lobby.connect()
    assert await lobby.woken() == ["2".zfill(32)]


async def test_a_profile_that_binds_an_adapter_no_more_wakes_nobody(lobby: Lobby) -> None:
    await lobby.die()
    assert await lobby.park(1)
    unbound = {"kind": "profile", "name": PROFILE, "adapters": {"of-subjects": {"per_subject": True}}}
    await lobby.connecting.bench.definitions.apply(load_text(json.dumps(unbound), "profile.yaml"))
    assert await lobby.woken() == []


async def test_an_account_that_is_dead_is_not_tried(lobby: Lobby) -> None:
    await lobby.die()
    assert await lobby.park(1)
    assert await wanted(lobby) == []


async def test_a_refused_client_is_tried_again_when_its_secret_was_replaced_and_not_before(lobby: Lobby) -> None:
    bench = lobby.connecting.bench
    await bench.expire(lobby.main)
    lobby.connecting.server.fault(TOKEN, instead(refusal(401, "invalid_client")))
    with pytest.raises(CredentialError):
        await bench.process().ensure(await bench.open("main"))
    assert await lobby.park(1)
    before = await wanted(lobby)
    await bench.accounts.set_secrets("main", CLIENT)
    after = await wanted(lobby)
    await look(lobby)
    assert (before, after) == ([], ["main"])
    assert await lobby.woken() == [ticket(1)]


async def test_a_shared_secret_that_is_replaced_revives_no_account_that_was_disconnected(
    lobby: Lobby, endpoint: TokenEndpoint
) -> None:
    bench = lobby.connecting.bench
    endpoint.answer(token("good"))
    await bench.connect(client_credentials(endpoint.url), CLIENT, name="robot")
    await bench.process().ensure(await bench.open("robot"))
    await lobby.connecting.disconnector.disconnect("robot")
    await bench.accounts.set_integration_secrets("of-robot", {"client_secret": "other-planted-secret"})
    assert (await bench.accounts.get("robot")).state == DISCONNECTED

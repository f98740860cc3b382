"""Disconnecting: the account stops at once, and the provider is told where it wants to be."""

import pytest

from auth.errors import NeedsReconnect
from storage.accounts import ACTIVE
from tests.fixtures.authorization_server import REVOKE, TOKEN, drop_after, instead
from tests.fixtures.consented import Connecting
from tests.fixtures.http import Answer
from tests.fixtures.refreshing import CLIENT


async def test_a_disconnect_revokes_the_grant_and_stops_the_account(connecting: Connecting) -> None:
    await connecting.create_own()
    await connecting.browser().connect()
    held = connecting.server.newest
    told = await connecting.disconnector.disconnect("main")
    account = await connecting.bench.accounts.get("main")
    assert told.told == "account main: disconnected, and its grant revoked at the provider"
    assert (account.state, held.family.revoked) == ("disconnected", True)
    assert await connecting.bench.record(await connecting.bench.open()) is None
    with pytest.raises(Exception, match="was disconnected") as caught:
        await connecting.bench.resolver().resolve_account("main")
    assert "tieline accounts connect main" in caught.value.action  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "why"), [(Answer(503), "answered 503"), (None, "the integration names no revoke endpoint")]
)
async def test_a_disconnect_that_could_not_revoke_says_so_and_stops_the_account_all_the_same(
    connecting: Connecting, answer: Answer | None, why: str
) -> None:
    await connecting.create_own(**({"revoke": None} if answer is None else {}))
    await connecting.browser().connect()
    if answer is not None:
        connecting.server.fault(REVOKE, instead(answer))
    told = await connecting.disconnector.disconnect("main")
    assert why in told.told
    assert "did not confirm" in told.told
    assert (await connecting.bench.accounts.get("main")).state == "disconnected"


async def test_a_disconnected_account_is_connected_again_by_a_new_consent(connecting: Connecting) -> None:
    await connecting.create_own()
    browser = connecting.browser()
    await browser.connect()
    await connecting.disconnector.disconnect("main")
    await browser.connect()
    credential = await connecting.bench.resolver().resolve_account("main")
    assert connecting.server.memory.honours(credential.values["token"].reveal())
    assert (await connecting.bench.accounts.get("main")).state == ACTIVE


async def test_a_disconnect_that_was_cut_off_is_made_good_by_the_next_one(connecting: Connecting) -> None:
    await connecting.create_own()
    await connecting.browser().connect()
    opened = await connecting.bench.open()
    async with connecting.exchange.held(opened, "") as (claim, _), connecting.bench.database.write() as connection:
        await connecting.exchange.store.stop(connection, claim)
    with pytest.raises(NeedsReconnect):
        await connecting.bench.resolver().resolve_account("main")
    assert (await connecting.disconnector.disconnect("main")).revoked
    assert connecting.server.newest.family.revoked


async def test_a_revocation_whose_answer_is_lost_is_told_as_not_known(sqlite_connecting: Connecting) -> None:
    await sqlite_connecting.create_own()
    await sqlite_connecting.browser().connect()
    sqlite_connecting.server.fault(REVOKE, drop_after)
    told = await sqlite_connecting.disconnector.disconnect("main")
    assert not told.revoked
    assert "did not confirm" in told.told


async def test_an_account_by_client_credentials_is_disconnected_and_comes_back_with_its_secrets(
    connecting: Connecting,
) -> None:
    server = connecting.server
    revoke = {"endpoint": server.url + REVOKE}
    auth = {"type": "oauth2", "grant": "client_credentials", "token": {"endpoint": server.url + TOKEN}}
    await connecting.bench.connect({**auth, "revoke": revoke})
    resolver = connecting.bench.resolver()
    held = (await resolver.resolve_account("main")).values["token"].reveal()
    told = await connecting.disconnector.disconnect("main")
    with pytest.raises(NeedsReconnect, match="was disconnected"):
        await resolver.resolve_account("main")
    await connecting.bench.accounts.set_secrets("main", CLIENT)
    again = (await resolver.resolve_account("main")).values["token"].reveal()
    assert (told.revoked, server.memory.honours(held), server.memory.honours(again)) == (True, False, True)
    assert (await connecting.bench.accounts.get("main")).state == ACTIVE

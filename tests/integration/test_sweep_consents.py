"""Accounts that people connected, swept: renewed while they can be, and told dead when their time has come."""

from typing import Any

import pytest

from auth.ahead import Outcome
from auth.connect_error import ConnectError
from auth.errors import ClientRefused
from definitions.notification import NotificationKind
from storage.accounts import NEEDS_RECONNECT
from tests.fixtures.authorization_server import TOKEN, instead, said_as
from tests.fixtures.consented import Connecting, authorization_code
from tests.fixtures.posted import posted
from tests.fixtures.sweeping import Sweeping
from tests.fixtures.token_endpoint import refusal


async def test_a_connected_account_is_renewed_ahead_where_it_was_connected(
    connecting: Connecting, sweeping: Sweeping
) -> None:
    opened = await connecting.create()
    await connecting.browser().connect()
    await sweeping.due(opened)
    assert await sweeping.sweep() == {Outcome.RENEWED: 1}
    assert [each["grant_type"] for each in connecting.server.token_requests] == ["authorization_code", "refresh_token"]


async def test_an_account_without_a_refresh_token_is_told_dead_when_its_token_ends(
    connecting: Connecting, sweeping: Sweeping, caplog: pytest.LogCaptureFixture
) -> None:
    opened = await connecting.create()
    connecting.server.fault(TOKEN, said_as(lambda body: {**body, "refresh_token": None}))
    await connecting.browser().connect()
    before = await sweeping.sweep()
    await sweeping.pass_time(3601)
    after = await sweeping.sweep()
    account = await connecting.bench.account(opened)
    assert (before, after, await sweeping.sweep()) == ({}, {Outcome.ENDED: 1}, {})
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "no_refresh_token")
    assert len([record for record in caplog.records if "gave no refresh token" in record.message]) == 1
    assert len(connecting.server.token_requests) == 1


async def test_the_end_of_a_refresh_token_that_a_consent_brought_is_warned_of(
    connecting: Connecting, sweeping: Sweeping
) -> None:
    opened = await connecting.create()
    connecting.server.fault(TOKEN, said_as(lambda body: {**body, "refresh_token_expires_in": 86400 * 20}))
    await connecting.browser().connect()
    await sweeping.pass_time(86400 * 14)
    await sweeping.warn()
    assert (await connecting.bench.row(opened)).refresh_expires_at is not None
    assert len(await posted(connecting.bench.database, NotificationKind.REFRESH_TOKEN_ENDS)) == 1


async def test_a_connect_that_fails_leaves_the_account_with_the_sweep_as_it_was(
    connecting: Connecting, sweeping: Sweeping
) -> None:
    opened = await connecting.create()
    await connecting.browser().connect()
    before = await connecting.bench.row(opened)
    connecting.server.fault(TOKEN, instead(refusal(401, "invalid_client")))
    with pytest.raises(ConnectError):
        await connecting.browser().connect()
    after = await connecting.bench.row(opened)
    assert (after.token_host, after.token_client) == (before.token_host, before.token_client)
    assert (after.refresh_at, after.warn_at) == (before.refresh_at, before.warn_at)
    await sweeping.due(opened)
    assert await sweeping.sweep() == {Outcome.RENEWED: 1}


async def test_an_account_that_nobody_connected_yet_is_not_swept(connecting: Connecting, sweeping: Sweeping) -> None:
    await connecting.create()
    await sweeping.pass_time(86400)
    assert await sweeping.sweep() == {}


async def test_a_corrected_client_secret_of_a_connected_account_is_tried_at_once(
    connecting: Connecting, sweeping: Sweeping
) -> None:
    opened = await connecting.create()
    await connecting.browser().connect()
    await connecting.bench.expire(opened)
    connecting.server.fault(TOKEN, instead(refusal(401, "invalid_client")))
    with pytest.raises(ClientRefused):
        await connecting.bench.process().ensure(opened)
    await connecting.bench.accounts.set_secrets("main", {"client_secret": connecting.server.client.client_secret})
    assert (await connecting.bench.process().ensure(await connecting.bench.open())).version == 2


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"client_auth": "body"}, id="refused-client"),
        pytest.param({"params": {"resource": "{region}"}}, id="no-request"),
        pytest.param({"verb": "GET"}, id="another-verb"),
    ],
)
async def test_a_corrected_definition_of_a_connected_account_is_tried_by_the_next_sweep(
    connecting: Connecting, sweeping: Sweeping, wrong: dict[str, Any]
) -> None:
    bench, server = connecting.bench, connecting.server
    right = authorization_code(server)
    opened = await connecting.create()
    await connecting.browser().connect()
    changed = {"token": {**right["token"], **wrong}, "refresh": {"params": wrong.get("params", {})}}
    await bench.define({**right, **changed}, parameters={"region": ""} if "params" in wrong else None)
    await sweeping.due(opened)
    await sweeping.sweep()
    before = (await bench.row(opened)).version
    waiting = await sweeping.sweep()
    await bench.define(right)
    assert (before, waiting) == (1, {})
    assert await sweeping.sweep() == {Outcome.RENEWED: 1}


async def test_a_definition_that_says_the_same_as_before_makes_nobody_ask_again(
    connecting: Connecting, sweeping: Sweeping
) -> None:
    opened = await connecting.create()
    await connecting.browser().connect()
    connecting.server.fault(TOKEN, instead(refusal(400, "invalid_scope")))
    await sweeping.due(opened)
    await sweeping.sweep()
    asked = len(connecting.server.token_requests)
    await connecting.bench.define(authorization_code(connecting.server))
    assert await sweeping.sweep() == {}
    assert len(connecting.server.token_requests) == asked

"""A consent's exchange that hangs is given up: a process that waits for it could not end."""

import asyncio

import pytest

from auth.connect import CALLBACK_PATH
from auth.errors import TokenUnavailable
from auth.exchange import Accepted, Exchange
from auth.oauth2_sources import AuthorizationCode
from auth.refresh_plan import Timing
from auth.token_reply import TokenReply
from definitions.auth import OAuth2Auth
from tests.fixtures.authorization_server import TOKEN, instead
from tests.fixtures.consented import BASE_URL, Connecting
from tests.fixtures.token_endpoint import token

QUICK = Timing(deadline=0.3, persist=0.3)


async def test_what_hangs_is_given_up_and_the_account_is_as_it_was(sqlite_connecting: Connecting) -> None:
    opened = await sqlite_connecting.create()
    await sqlite_connecting.browser().connect()
    before = await sqlite_connecting.bench.row(opened)
    sqlite_connecting.server.fault(TOKEN, instead(token("never-in-force")))
    auth = opened.integration.auth
    assert isinstance(auth, OAuth2Auth)
    source = AuthorizationCode(opened, auth, "code", BASE_URL + CALLBACK_PATH, None, {})
    bench = sqlite_connecting.bench
    exchange = Exchange(bench.database, bench.vault, bench.http, QUICK)

    async def hang(_: TokenReply) -> Accepted:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(TokenUnavailable, match="could not be stored in time"):
        await exchange.run(opened, source, hang)
    after = await bench.row(opened)
    assert (after.version, after.attempt_id, after.lease_owner) == (before.version, None, None)
    assert (await bench.stored(opened)).token != "never-in-force"

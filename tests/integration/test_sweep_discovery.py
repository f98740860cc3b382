"""Endpoints that are found by discovery, and an issuer that fails: the token endpoint did nothing wrong."""

import pytest

from auth.ahead import Caps, Outcome
from auth.errors import TokenUnavailable
from storage.token_hosts import closed_hosts
from tests.fixtures.authorization_server import METADATA
from tests.fixtures.http import Answer, FaultServer
from tests.fixtures.refreshing import client_credentials
from tests.fixtures.sweeping import Sweeping
from tests.fixtures.token_endpoint import TokenEndpoint, answer, token


def by_issuer(server: FaultServer) -> dict[str, object]:
    return {"type": "oauth2", "grant": "client_credentials", "issuer": server.url}


async def test_an_issuer_that_fails_is_asked_once_and_leaves_the_token_endpoint_to_others(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint, other_http_server: FaultServer
) -> None:
    sqlite_sweeping.caps = Caps(per_host=1, per_second=1000.0)
    told = answer(200, {"issuer": other_http_server.url, "token_endpoint": granted.url})
    other_http_server.on(METADATA, lambda *_: _now(told))
    found = await sqlite_sweeping.connected(8, by_issuer(other_http_server), prefix="found")
    named = await sqlite_sweeping.connected(3, client_credentials(granted.url), prefix="named", client_id="client-2")
    asked = len(other_http_server.to(METADATA))
    other_http_server.on(METADATA, lambda *_: _now(Answer(503)))
    counts = await sqlite_sweeping.sweep()
    async with sqlite_sweeping.bench.database.read() as connection:
        shut = await closed_hosts(connection)
    assert counts == {Outcome.FAILED: 8, Outcome.RENEWED: 3}
    assert shut == []
    assert {row.version for row in await sqlite_sweeping.rows(named)} == {2}
    assert len(other_http_server.to(METADATA)) == asked + 1

    other_http_server.on(METADATA, lambda *_: _now(told))
    granted.answer(token("second"))
    await sqlite_sweeping.pass_time(61)
    assert await sqlite_sweeping.sweep() == {Outcome.RENEWED: 8}
    assert {row.version for row in await sqlite_sweeping.rows(found)} == {2}


async def test_a_call_is_told_that_it_was_the_issuer_who_did_not_answer(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint, other_http_server: FaultServer
) -> None:
    other_http_server.on(METADATA, lambda *_: _now(Answer(503)))
    opened = await sqlite_sweeping.bench.connect(by_issuer(other_http_server))
    with pytest.raises(TokenUnavailable, match=r"account 'main': its issuer's metadata could not be had .*503"):
        await sqlite_sweeping.bench.process().ensure(opened)
    assert granted.requests == []


async def _now(reply: Answer) -> Answer:
    return reply

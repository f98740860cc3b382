"""Tokens by requests of an integration's own making: log in, exchange, renew."""

import asyncio
import json
import time
from typing import Any

import pytest

from auth.errors import HostClosed, NeedsReconnect, TokenUnavailable
from examples.externalsystems import Systems
from examples.externalsystems.accepted import BANK
from tests.fixtures.http import FaultServer
from tests.fixtures.refreshing import Bench, login, login_and_refresh
from tests.fixtures.token_endpoint import Held, Reaction, TokenEndpoint, answer, cut, params, refusal, token

LOGIN = {"username": "ann", "password": 'planted-"quoted"-\\password'}
SESSION = answer(200, {"session": {"id": "session-1"}, "region": "eu1"})


@pytest.fixture
def bench(sqlite_bench: Bench) -> Bench:
    """What is sent does not depend on the database."""
    return sqlite_bench


@pytest.fixture
def exchange(token_server: FaultServer) -> TokenEndpoint:
    """Where a session is exchanged for a token."""
    return TokenEndpoint(token_server, "/exchange/eu1")


def login_and_exchange(endpoint: TokenEndpoint, exchange: TokenEndpoint, **auth: Any) -> dict[str, Any]:
    """Two requests; the second one is made with what the first one captured."""
    made = login(endpoint.url, **auth)
    made["requests"][0]["capture"] = {"session": "session.id", "region": "region"}
    made["requests"].append(
        {
            "endpoint": exchange.url.replace("eu1", "{region}"),
            "verb": "PUT",
            "headers": {"X-Session": "{session}"},
            "query": {"user": "{username|urlencode}"},
            "body": {"type": "form", "values": {"deep": {"session": "{session}"}, "hours": 2}},
            "capture": {"token": "access.token", "refresh_token": "access.again", "expires_at": "access.until"},
        }
    )
    return made


async def test_a_login_is_followed_by_an_exchange_with_what_it_captured(
    bench: Bench, endpoint: TokenEndpoint, exchange: TokenEndpoint
) -> None:
    endpoint.answer(SESSION)
    exchange.answer(answer(200, {"access": {"token": "t", "again": "r", "until": int(time.time() + 900) * 1000}}))
    opened = await bench.connect(login_and_exchange(endpoint, exchange), LOGIN)
    state = await bench.process().ensure(opened)
    (first,), (second,) = endpoint.requests, exchange.requests
    assert json.loads(first.body) == LOGIN
    assert (second.method, second.header("X-Session"), second.query) == ("PUT", "session-1", [("user", "ann")])
    assert params(second) == {"deep": '{"session": "session-1"}', "hours": "2"}
    assert state.expires_at is not None
    assert state.expires_at - state.now == pytest.approx(900, abs=15)
    assert (state.token, state.captured) == ("t", {"session": "session-1", "region": "eu1"})
    assert (await bench.stored(opened)).refresh_token == "r"


async def test_a_refresh_request_carries_the_refresh_token_and_what_the_login_captured(
    bench: Bench, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first", refresh_token="once", tenant="acme", plan="free"))
    refresh_endpoint.answer(token("second", plan="paid"))
    auth = login_and_refresh(endpoint.url, refresh_endpoint.url)
    auth["requests"][0]["capture"] |= {"tenant": "tenant", "plan": "plan"}
    auth["refresh"]["headers"] = {"X-Tenant": "{tenant}", "Authorization": "Bearer {token}"}
    auth["place"] = [{"in": "header", "name": "X-Plan", "value": "{plan} {token}"}]
    opened = await bench.connect(auth, LOGIN)
    await bench.process().ensure(opened)
    await bench.expire(opened)
    state = await bench.process().ensure(opened)
    (request,) = refresh_endpoint.requests
    assert params(request) == {"refresh_token": "once"}
    assert (request.header("X-Tenant"), request.header("Authorization")) == ("acme", "Bearer first")
    assert (state.token, state.captured) == ("second", {"tenant": "acme", "plan": "paid"})


@pytest.mark.parametrize(
    "refused",
    [refusal(401), refusal(400, message="expired"), refusal(403), refusal(404, "unknown_session"), refusal(200, "no")],
)
async def test_whatever_refuses_a_refresh_token_a_login_brings_a_new_one(
    bench: Bench, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint, refused: Reaction
) -> None:
    endpoint.answer(token("first", refresh_token="once"), token("by-login", refresh_token="anew"))
    refresh_endpoint.answer(refused)
    opened = await bench.connect(login_and_refresh(endpoint.url, refresh_endpoint.url), LOGIN)
    await bench.process().ensure(opened)
    await bench.expire(opened)
    assert (await bench.process().ensure(opened)).token == "by-login"
    assert len(refresh_endpoint.requests) == 1


async def test_a_refresh_endpoint_that_is_down_is_waited_for_and_no_login_made(
    bench: Bench, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first", refresh_token="once"))
    refresh_endpoint.answer(refusal(503))
    opened = await bench.connect(login_and_refresh(endpoint.url, refresh_endpoint.url), LOGIN)
    await bench.process().ensure(opened)
    await bench.expire(opened)
    with pytest.raises(TokenUnavailable, match="status_503"):
        await bench.process().ensure(opened)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("lost", [refusal(502), cut])
async def test_a_chain_that_broke_in_the_middle_begins_anew(
    bench: Bench, endpoint: TokenEndpoint, exchange: TokenEndpoint, lost: Reaction
) -> None:
    """A session may serve once, so none is kept for the next attempt."""
    endpoint.answer(SESSION)
    exchange.answer(lost, answer(200, {"access": {"token": "t"}}))
    opened = await bench.connect(login_and_exchange(endpoint, exchange), LOGIN)
    with pytest.raises(TokenUnavailable):
        await bench.process().ensure(opened)
    assert await bench.record(opened, "pending") is None
    assert (await bench.process().ensure(opened)).token == "t"
    assert (len(endpoint.requests), len(exchange.requests)) == (2, 2)


async def test_a_chain_goes_no_further_once_somebody_else_has_claimed_the_account(
    bench: Bench, endpoint: TokenEndpoint, exchange: TokenEndpoint
) -> None:
    held = Held(SESSION)
    endpoint.answer(held, SESSION)
    exchange.answer(answer(200, {"access": {"token": "t"}}))
    opened = await bench.connect(login_and_exchange(endpoint, exchange), LOGIN)
    slow = asyncio.create_task(bench.process().ensure(opened))
    await held.arrived.wait()
    await bench.end_lease(opened)
    await bench.process().ensure(opened)
    held.release()
    assert (await slow).token == "t"
    assert (len(endpoint.requests), len(exchange.requests)) == (2, 1)


async def test_a_host_that_wants_to_be_left_alone_is_left_alone_in_the_middle_of_a_chain_too(
    bench: Bench, endpoint: TokenEndpoint, other_http_server: FaultServer
) -> None:
    exchange = TokenEndpoint(other_http_server, "/exchange/eu1")
    endpoint.answer(SESSION)
    exchange.answer(refusal(429, headers=[("Retry-After", "120")]))
    opened = await bench.connect(login_and_exchange(endpoint, exchange), LOGIN)
    for _ in range(3):
        with pytest.raises(TokenUnavailable) as caught:
            await bench.process().ensure(opened)
    assert isinstance(caught.value, HostClosed)
    assert caught.value.retry_after == pytest.approx(120, abs=20)
    assert len(exchange.requests) == 1


async def test_a_login_without_what_the_exchange_needs_goes_no_further(
    bench: Bench, endpoint: TokenEndpoint, exchange: TokenEndpoint
) -> None:
    endpoint.answer(answer(200, {"session": None, "region": "eu1"}))
    with pytest.raises(TokenUnavailable, match="no_token"):
        await bench.process().ensure(await bench.connect(login_and_exchange(endpoint, exchange), LOGIN))
    assert exchange.requests == []


async def test_an_error_inside_a_200_counts_where_the_definition_says_so_though_a_token_stands_beside_it(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("no-good", errors=[{"code": "LOGIN_DENIED"}]))
    with pytest.raises(NeedsReconnect, match="LOGIN_DENIED"):
        await bench.process().ensure(await bench.connect(login(endpoint.url, error="errors[0].code"), LOGIN))


async def test_a_token_may_be_had_by_a_get_without_a_body(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(answer(200, {"key": 4711}))
    auth = login(endpoint.url, lifetime="10m")
    request = {"verb": "GET", "query": {"u": "{username}"}, "headers": {"X-Password": "{password|sha256}"}}
    auth["requests"] = [{"endpoint": endpoint.url, "capture": {"token": "key"}, **request}]
    state = await bench.process().ensure(await bench.connect(auth, LOGIN))
    (asked,) = endpoint.requests
    assert (asked.method, asked.body, asked.query) == ("GET", b"", [("u", "ann")])
    assert len(asked.header("X-Password") or "") == 64
    assert state.token == "4711"


def bank(systems: Systems) -> dict[str, Any]:
    """The played bank of the examples."""
    auth = login(f"http://{systems.server}/bank/login")
    auth["requests"][0]["capture"] = {"session": "session.id"}
    exchange = {"endpoint": f"http://{systems.server}/bank/exchange", "body": {"values": {"session": "{session}"}}}
    auth["requests"].append({**exchange, "capture": {"token": "access.token", "expires_in": "access.expires_in"}})
    return auth


async def test_a_bank_s_session_is_exchanged_for_its_token(bench: Bench, systems: Systems) -> None:
    opened = await bench.connect(bank(systems), BANK["production"].secrets)
    states = [await bench.process().ensure(opened), await bench.process().ensure(opened, 1)]
    assert [state.version for state in states] == [1, 2]
    assert all(state.token.startswith("demo-token-") for state in states)


async def test_a_bank_that_knows_no_such_password_needs_a_person(bench: Bench, systems: Systems) -> None:
    opened = await bench.connect(bank(systems), {**BANK["production"].secrets, "password": "planted-password"})
    with pytest.raises(NeedsReconnect, match="wrong_username_or_password") as caught:
        await bench.process().ensure(opened)
    assert "set-secrets main" in caught.value.action

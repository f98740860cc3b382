"""What a token endpoint's refusals do to an account, to others on its host, and to the token that it still has."""

import asyncio

import pytest

from auth.credential import OpenAccount
from auth.errors import ClientRefused, CredentialError, Misconfigured, NeedsReconnect, TokenUnavailable
from auth.refresh_plan import Timing
from storage.accounts import ACTIVE, NEEDS_RECONNECT
from tests.fixtures.http import Answer, FaultServer
from tests.fixtures.refreshing import LOGIN, PATIENT, Bench, client_credentials, login
from tests.fixtures.token_endpoint import Held, Reaction, TokenEndpoint, cut, half, refusal, silence, token

BRIEF = Timing(deadline=0.2, persist=10, wait=20, poll=0.02)

TRANSIENT: list[Reaction] = [
    refusal(500),
    refusal(503, "temporarily_unavailable"),
    refusal(429, message="slow down"),
    refusal(400, message="no code"),
    Answer(502, b"<html><body>Bad Gateway</body></html>", [("Content-Type", "text/html")]),
    Answer(200, b"<html>Log in first</html>"),
    refusal(200, "maintenance"),
    cut,
    half,
    silence,
]


async def test_a_block_by_retry_after_keeps_every_account_from_that_host_and_from_no_other(
    bench: Bench, endpoint: TokenEndpoint, other_http_server: FaultServer
) -> None:
    endpoint.answer(token("first"), refusal(429, headers=[("Retry-After", "120")], message="too many"))
    elsewhere = TokenEndpoint(other_http_server)
    elsewhere.answer(token("elsewhere"))
    holder = await bench.connect(client_credentials(endpoint.url))
    neighbour = await bench.connect(client_credentials(endpoint.url), name="neighbour")
    stranger = await bench.connect(client_credentials(elsewhere.url), name="stranger")
    await bench.process().ensure(holder)
    stored = await bench.record(holder)
    await bench.nearly_expire(holder)

    assert (await bench.process().ensure(holder)).token == "first"
    assert (await bench.process().ensure(holder)).token == "first"
    with pytest.raises(TokenUnavailable, match="asked not to be called") as blocked:
        await bench.process().ensure(neighbour)
    assert (await bench.process().ensure(stranger)).token == "elsewhere"

    assert blocked.value.retry_after is not None
    assert 100 < blocked.value.retry_after <= 120
    assert len(endpoint.requests) == 2
    assert await bench.record(holder) == stored


async def test_a_503_with_a_date_to_wait_for_blocks_the_host_too(bench: Bench, endpoint: TokenEndpoint) -> None:
    dates = [("Date", "Wed, 21 Oct 2026 07:28:00 GMT"), ("Retry-After", "Wed, 21 Oct 2026 07:29:00 GMT")]
    endpoint.answer(refusal(503, headers=dates))
    opened = await bench.connect(client_credentials(endpoint.url))
    for _ in range(2):
        with pytest.raises(TokenUnavailable) as caught:
            await bench.process().ensure(opened)
    assert caught.value.retry_after == pytest.approx(60, abs=5)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("reaction", TRANSIENT)
async def test_a_transient_error_leaves_the_stored_token_in_use_while_it_is_valid(
    bench: Bench, endpoint: TokenEndpoint, reaction: Reaction
) -> None:
    endpoint.answer(token("first"), reaction)
    opened = await bench.connect(client_credentials(endpoint.url))
    await bench.process().ensure(opened)
    stored = await bench.record(opened)
    await bench.nearly_expire(opened)
    assert (await bench.process(BRIEF).ensure(opened)).token == "first"
    assert len(endpoint.requests) == 2
    await bench.expire(opened)
    with pytest.raises(TokenUnavailable) as caught:
        await bench.process(BRIEF).ensure(opened)
    assert caught.value.retryable
    assert await bench.record(opened) == stored
    assert (await bench.account(opened)).state == ACTIVE


async def test_an_endpoint_that_is_down_for_long_is_forgotten_when_it_is_back(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(*[refusal(503)] * 6, token("first"))
    opened = await bench.connect(client_credentials(endpoint.url))
    for _ in range(6):
        with pytest.raises(TokenUnavailable):
            await bench.process().ensure(opened)
    down = await bench.row(opened)
    assert down.refresh_at is not None
    assert (down.failures, down.refresh_at - down.now > 600) == (6, True)
    assert (await bench.process().ensure(opened)).token == "first"
    assert (await bench.row(opened)).failures == 0


@pytest.mark.parametrize(
    ("reaction", "error"),
    [
        (refusal(401, "invalid_client"), ClientRefused),
        (refusal(400, "unauthorized_client"), ClientRefused),
        (refusal(400, "invalid_scope"), Misconfigured),
        (refusal(400, "unsupported_grant_type"), Misconfigured),
    ],
)
async def test_a_refused_client_or_request_stops_at_once_and_the_account_stays_as_it_is(
    bench: Bench, endpoint: TokenEndpoint, reaction: Reaction, error: type[CredentialError]
) -> None:
    endpoint.answer(reaction)
    opened = await bench.connect(client_credentials(endpoint.url))
    with pytest.raises(error) as caught:
        await bench.process().ensure(opened)
    assert not caught.value.retryable
    assert len(endpoint.requests) == 1
    assert (await bench.account(opened)).state == ACTIVE


async def test_an_error_inside_a_200_ends_a_grant_and_it_is_not_asked_for_again(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(refusal(200, "bad_refresh_token"))
    opened = await bench.connect(client_credentials(endpoint.url))
    for _ in range(2):
        with pytest.raises(NeedsReconnect, match="bad_refresh_token"):
            await bench.process().ensure(opened)
    account = await bench.account(opened)
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "bad_refresh_token")
    assert len(endpoint.requests) == 1


async def test_a_dead_refresh_token_is_followed_by_a_login(
    bench: Bench, expired: OpenAccount, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("by-login", refresh_token="anew"))
    refresh_endpoint.answer(refusal(200, "bad_refresh_token"))
    assert (await bench.process().ensure(expired)).token == "by-login"
    assert (await bench.stored(expired)).refresh_token == "anew"
    assert (len(endpoint.requests), len(refresh_endpoint.requests)) == (2, 1)


async def test_a_dead_grant_serves_the_token_that_it_has_until_that_expires(
    bench: Bench, expired: OpenAccount, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    refresh_endpoint.answer(refusal(400, "invalid_grant"))
    endpoint.answer(refusal(401, "wrong username or password"))
    await bench.nearly_expire(expired)
    for _ in range(2):
        assert (await bench.process().ensure(expired)).token == "first"
    assert (await bench.account(expired)).state == NEEDS_RECONNECT
    await bench.expire(expired)
    with pytest.raises(NeedsReconnect, match="wrong_username_or_password"):
        await bench.process().ensure(expired)
    assert (len(endpoint.requests), len(refresh_endpoint.requests)) == (2, 1)


async def test_new_secrets_make_a_new_token_and_bring_a_dead_account_back(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(refusal(401), token("second"), token("third"))
    opened = await bench.connect(login(endpoint.url), LOGIN)
    with pytest.raises(NeedsReconnect):
        await bench.process().ensure(opened)
    await bench.accounts.set_secrets("main", {"password": "planted-password-2"})
    assert (await bench.process().ensure(await bench.open())).token == "second"
    await bench.accounts.set_secrets("main", {"password": "planted-password-3"})
    assert (await bench.process().ensure(await bench.open())).token == "third"
    assert [request.body.decode().count("planted-password-3") for request in endpoint.requests] == [0, 0, 1]


async def test_a_changed_definition_makes_a_new_token(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(token("first"), token("wider"))
    await bench.connect(client_credentials(endpoint.url, {"scopes": ["read"]}))
    await bench.process().ensure(await bench.open())
    await bench.define(client_credentials(endpoint.url, {"scopes": ["read", "write"]}))
    assert (await bench.process().ensure(await bench.open())).token == "wider"


async def test_a_refusal_of_old_secrets_says_nothing_about_new_ones(bench: Bench, endpoint: TokenEndpoint) -> None:
    held = Held(refusal(401, "invalid_client"))
    endpoint.answer(held, token("second"))
    opened = await bench.connect(client_credentials(endpoint.url))
    process = bench.process()
    caller = asyncio.create_task(process.ensure(opened))
    await held.arrived.wait()
    await bench.accounts.set_secrets("main", {"client_secret": "planted-client-secret-2"})
    with_new_ones = asyncio.create_task(process.ensure(await bench.open()))
    await asyncio.sleep(PATIENT.poll)
    held.release()
    assert (await with_new_ones).token == "second"
    with pytest.raises(TokenUnavailable, match="was changed"):
        await caller
    assert len(endpoint.requests) == 2


async def test_a_caller_with_old_secrets_does_not_replace_the_token_had_with_new_ones(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("second"))
    old = await bench.connect(client_credentials(endpoint.url))
    await bench.accounts.set_secrets("main", {"client_secret": "planted-client-secret-2"})
    await bench.process().ensure(await bench.open())
    with pytest.raises(TokenUnavailable, match="was changed"):
        await bench.process().ensure(old)
    assert len(endpoint.requests) == 1

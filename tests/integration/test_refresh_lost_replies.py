"""Answers that got lost, and answers that come when their time is over."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from auth.credential import OpenAccount
from auth.errors import NeedsReconnect, TokenUnavailable, Unbound, Unreadable
from auth.refresh import TokenState
from definitions.notification import NotificationKind
from storage.accounts import ACTIVE
from storage.vault_records import read_records, write_record
from tests.fixtures.http import Answer, Received, Wire
from tests.fixtures.posted import posted
from tests.fixtures.refreshing import LOGIN, Bench, client_credentials, login_and_refresh, rotating
from tests.fixtures.token_endpoint import (
    Held,
    Reaction,
    RotatingGrants,
    TokenEndpoint,
    cut,
    half,
    params,
    refusal,
    token,
)


@pytest.mark.parametrize("lost", [cut, half, Answer(200, b"\x00garbage")], ids=["cut", "half", "garbage"])
async def test_a_lost_reply_is_asked_for_once_more_at_once_with_the_same_refresh_token(
    bench: Bench, expired: OpenAccount, refresh_endpoint: TokenEndpoint, lost: Reaction
) -> None:
    refresh_endpoint.answer(lost, token("second", refresh_token="twice"))
    assert (await bench.process().ensure(expired)).token == "second"
    assert [params(request)["refresh_token"] for request in refresh_endpoint.requests] == ["once", "once"]
    assert (await bench.row(expired)).attempt_id is None


async def test_a_lost_reply_that_a_strict_provider_does_not_forgive_is_followed_by_a_login(
    bench: Bench, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=False)
    opened = await rotating(bench, endpoint, refresh_endpoint, grants)

    async def lose(received: Received, wire: Wire) -> None:
        await grants.refresh(received, wire)
        await cut(received, wire)

    refresh_endpoint.answer(lose, grants.refresh)
    assert (await bench.process().ensure(opened)).token == "access-2.1"
    assert (len(refresh_endpoint.requests), grants.reuses, grants.logins) == (2, 1, 2)
    assert (await bench.account(opened)).state == ACTIVE


async def test_a_lost_reply_whose_login_is_refused_needs_a_person(
    bench: Bench, expired: OpenAccount, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    refresh_endpoint.answer(cut, refusal(400, "invalid_grant"))
    endpoint.answer(refusal(401, "wrong password"))
    for _ in range(2):
        with pytest.raises(NeedsReconnect) as caught:
            await bench.process().ensure(expired)
    assert "accounts set-secrets main" in caught.value.action
    assert (len(refresh_endpoint.requests), len(endpoint.requests)) == (2, 2)


async def test_a_grant_stays_in_doubt_until_the_provider_says_what_became_of_it(
    bench: Bench, expired: OpenAccount, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    refresh_endpoint.answer(cut, refusal(503), cut, token("second"))
    for _ in range(2):
        with pytest.raises(TokenUnavailable):
            await bench.process().ensure(expired)
        assert (await bench.row(expired)).in_doubt
    assert (await bench.process().ensure(expired)).token == "second"
    assert not (await bench.row(expired)).in_doubt
    assert (len(endpoint.requests), len(refresh_endpoint.requests)) == (1, 4)


async def test_what_was_never_sent_is_not_in_doubt(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(token("first", refresh_token="once"))
    opened = await bench.connect(login_and_refresh(endpoint.url, "http://127.0.0.1:1/refresh"), LOGIN)
    await bench.process().ensure(opened)
    await bench.expire(opened)
    with pytest.raises(TokenUnavailable, match="connect_failed"):
        await bench.process().ensure(opened)
    assert not (await bench.row(opened)).in_doubt


async def test_a_lost_reply_that_spent_nothing_is_left_to_whoever_retries_the_call(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(cut, token("first"))
    opened = await bench.connect(client_credentials(endpoint.url))
    with pytest.raises(TokenUnavailable, match="connection_lost"):
        await bench.process().ensure(opened)
    assert len(endpoint.requests) == 1
    assert not (await bench.row(opened)).in_doubt


Late = tuple[asyncio.Task[TokenState], Held]


@pytest.fixture
def late(bench: Bench) -> Callable[[OpenAccount, TokenEndpoint, Answer], Awaitable[Late]]:
    """A process that is still waiting for this answer when its lease is over."""

    async def start(opened: OpenAccount, endpoint: TokenEndpoint, answer: Answer) -> Late:
        held = Held(answer)
        endpoint.answer(held)
        slow = asyncio.create_task(bench.process().ensure(opened))
        await held.arrived.wait()
        await bench.end_lease(opened)
        return slow, held

    return start


Starting = Callable[[OpenAccount, TokenEndpoint, Answer], Awaitable[Late]]


async def test_an_answer_that_comes_too_late_does_not_replace_a_newer_token(
    bench: Bench, endpoint: TokenEndpoint, late: Starting
) -> None:
    opened = await bench.connect(client_credentials(endpoint.url))
    slow, held = await late(opened, endpoint, token("stale"))
    endpoint.answer(token("newer"))
    newer = await bench.process().ensure(opened)
    held.release()
    assert (await slow).token == newer.token == "newer"
    assert (await bench.stored(opened)).token == "newer"
    assert (await bench.row(opened)).version == 1


async def test_a_late_refresh_token_that_nobody_else_has_is_set_aside_and_told(
    bench: Bench, expired: OpenAccount, refresh_endpoint: TokenEndpoint, late: Starting
) -> None:
    slow, held = await late(expired, refresh_endpoint, token("stale", refresh_token="late"))
    refresh_endpoint.answer(token("newer", refresh_token="twice"))
    await bench.process().ensure(expired)
    held.release()
    assert (await slow).token == "newer"
    assert (await bench.stored(expired)).refresh_token == "twice"
    assert "late" in (await bench.record(expired, "quarantine") or "")
    assert [each.account for each in await posted(bench.database, NotificationKind.TOKEN_SET_ASIDE)] == ["main"]
    assert await bench.record(expired, "pending") is None


async def test_a_late_answer_counts_while_what_it_spent_is_still_the_newest(
    bench: Bench, expired: OpenAccount, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint, late: Starting
) -> None:
    """The provider refuses the second process, because the first one has spent the refresh token."""
    slow, held = await late(expired, refresh_endpoint, token("heir", refresh_token="twice"))
    refusing = Held(refusal(400, "invalid_grant"))
    refresh_endpoint.answer(refusing)
    endpoint.answer(refusal(401))
    second = asyncio.create_task(bench.process().ensure(expired))
    await refusing.arrived.wait()
    held.release()
    assert (await slow).token == "heir"
    refusing.release()
    assert (await second).token == "heir"
    assert (await bench.account(expired)).state == ACTIVE
    assert (await bench.stored(expired)).refresh_token == "twice"


async def test_an_account_deleted_while_its_token_is_asked_for_is_told(
    bench: Bench, endpoint: TokenEndpoint, late: Starting
) -> None:
    opened = await bench.connect(client_credentials(endpoint.url))
    slow, held = await late(opened, endpoint, token("first"))
    await bench.accounts.delete("main")
    held.release()
    with pytest.raises(Unbound, match="'main' was deleted"):
        await slow


async def test_a_token_of_an_earlier_time_put_back_in_its_place_is_not_given_out(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first"), token("second"))
    opened = await bench.connect(client_credentials(endpoint.url))
    await bench.process().ensure(opened)
    async with bench.database.read() as connection:
        (earlier,) = await read_records(connection, "tokens", opened.account.id)
    await bench.expire(opened)
    await bench.process().ensure(opened)
    async with bench.database.write() as connection:
        await write_record(connection, earlier)
    with pytest.raises(Unreadable, match="of another time"):
        await bench.process().ensure(opened)


async def test_a_token_that_cannot_be_decrypted_is_told_and_gone_when_the_secrets_are_saved_again(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first"), token("second"))
    opened = await bench.connect(client_credentials(endpoint.url))
    await bench.process().ensure(opened)
    async with bench.database.write() as connection:
        await bench.vault.put(connection, "tokens", opened.account.id, "token", 7, b"x")
        await connection.exec_driver_sql("UPDATE vault_records SET version = 8 WHERE table_name = 'tokens'")
    with pytest.raises(Unreadable, match="account 'main'"):
        await bench.process().ensure(opened)
    await bench.accounts.set_secrets("main", {"client_secret": "planted-client-secret"})
    assert (await bench.process().ensure(await bench.open())).token == "second"

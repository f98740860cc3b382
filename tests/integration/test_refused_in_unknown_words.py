"""A refusal in words that nobody knows: an incident at the provider for a day, the end of the grant after that."""

from collections.abc import Awaitable, Callable

import pytest

from auth.credential import OpenAccount
from auth.errors import NeedsReconnect, TokenUnavailable
from auth.refresh_plan import REFUSALS
from storage.accounts import ACTIVE, NEEDS_RECONNECT
from tests.fixtures.authorization_server import TOKEN, StrictServer, instead
from tests.fixtures.http import Answer
from tests.fixtures.refreshing import CLIENT, Bench, client_credentials
from tests.fixtures.sweeping import Sweeping
from tests.fixtures.token_endpoint import TokenEndpoint, refusal

HOUR = 3600.0
UNKNOWN = refusal(400, "grant_gone_astray")


async def refused(sweeping: Sweeping, server: StrictServer, answer: Answer, *, hours: int) -> None:
    """Once an hour, for so many hours."""
    for _ in range(hours):
        server.fault(TOKEN, instead(answer))
        await sweeping.pass_time(HOUR)
        await sweeping.sweep()


async def test_a_grant_refused_for_more_than_a_day_in_unknown_words_is_held_for_dead(
    sweeping: Sweeping, connected: OpenAccount, strict_server: StrictServer
) -> None:
    await sweeping.due(connected)
    await refused(sweeping, strict_server, UNKNOWN, hours=26)
    account = await sweeping.bench.account(connected)
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "grant_gone_astray")


@pytest.mark.parametrize(
    ("answer", "hours"),
    [
        pytest.param(UNKNOWN, 22, id="for less than a day"),
        pytest.param(refusal(400), 30, id="without a word"),
        pytest.param(refusal(400, "quota_used_up"), 30, id="with a word of trouble"),
        pytest.param(refusal(503, "grant_gone_astray"), 30, id="by a server that is in trouble"),
    ],
)
async def test_what_may_be_an_incident_leaves_the_account_alive(
    sqlite_sweeping: Sweeping, connected_on_sqlite: OpenAccount, strict_server: StrictServer, answer: Answer, hours: int
) -> None:
    await sqlite_sweeping.due(connected_on_sqlite)
    await refused(sqlite_sweeping, strict_server, answer, hours=hours)
    await sqlite_sweeping.pass_time(HOUR)
    await sqlite_sweeping.sweep()
    account = await sqlite_sweeping.bench.account(connected_on_sqlite)
    assert account.state == ACTIVE
    assert (await sqlite_sweeping.bench.row(connected_on_sqlite)).version > 1


async def test_a_token_in_between_begins_the_day_anew(
    sqlite_sweeping: Sweeping, connected_on_sqlite: OpenAccount, strict_server: StrictServer
) -> None:
    await sqlite_sweeping.due(connected_on_sqlite)
    for _ in range(2):
        await refused(sqlite_sweeping, strict_server, UNKNOWN, hours=20)
        await sqlite_sweeping.pass_time(HOUR)
        await sqlite_sweeping.sweep()
        await sqlite_sweeping.due(connected_on_sqlite)
    assert (await sqlite_sweeping.bench.account(connected_on_sqlite)).state == ACTIVE
    assert (await sqlite_sweeping.bench.row(connected_on_sqlite)).version == 3


async def test_an_outage_between_two_unknown_words_begins_the_day_anew(
    sweeping: Sweeping, connected: OpenAccount, strict_server: StrictServer
) -> None:
    await sweeping.due(connected)
    await refused(sweeping, strict_server, UNKNOWN, hours=1)
    await refused(sweeping, strict_server, Answer(500), hours=26)
    await refused(sweeping, strict_server, UNKNOWN, hours=2)
    row = await sweeping.bench.row(connected)
    assert (row.state, row.failures) == ("active", 2)


async def long_refused(bench: Bench, endpoint: TokenEndpoint) -> OpenAccount:
    """For more than a day, and so often that the next time is held for the end."""
    endpoint.answer(UNKNOWN)
    opened = await bench.connect(client_credentials(endpoint.url), CLIENT)
    with pytest.raises(TokenUnavailable):
        await bench.process().ensure(opened)
    await bench.set_token_row(opened, refused_since=(await bench.row(opened)).now - 26 * HOUR, failures=REFUSALS)
    return opened


async def test_the_call_whose_refusal_is_one_too_many_is_told_that_somebody_must_reconnect(
    sqlite_bench: Bench, endpoint: TokenEndpoint
) -> None:
    opened = await long_refused(sqlite_bench, endpoint)
    with pytest.raises(NeedsReconnect, match="no longer accepts its grant"):
        await sqlite_bench.process().ensure(opened)


async def other_secrets(bench: Bench, endpoint: TokenEndpoint) -> None:
    await bench.accounts.set_secrets("main", CLIENT)


async def another_definition(bench: Bench, endpoint: TokenEndpoint) -> None:
    await bench.define(client_credentials(endpoint.url, {"scopes": ["read"]}))


@pytest.mark.parametrize("correct", [other_secrets, another_definition])
async def test_what_was_refused_before_a_correction_does_not_count(
    bench: Bench, endpoint: TokenEndpoint, correct: Callable[[Bench, TokenEndpoint], Awaitable[None]]
) -> None:
    opened = await long_refused(bench, endpoint)
    await correct(bench, endpoint)
    with pytest.raises(TokenUnavailable):
        await bench.process().ensure(await bench.open())
    row = await bench.row(opened)
    assert row.state == "active"
    assert row.now - (row.refused_since or 0.0) < HOUR

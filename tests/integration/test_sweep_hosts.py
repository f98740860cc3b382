"""The sweep is no burden to a token endpoint: caps by host, hosts that ask for rest, hosts that fail, refused clients.

Rows 8, 9 and 10 of the cases for a reviewer, for renewing ahead.
"""

import logging

import pytest

from auth.ahead import Caps, Outcome
from definitions.notification import NotificationKind
from storage.accounts import ACTIVE
from storage.token_hosts import closed_hosts, stopped_clients
from tests.fixtures.posted import posted
from tests.fixtures.refreshing import client_credentials
from tests.fixtures.sweeping import Load, Sweeping
from tests.fixtures.token_endpoint import TokenEndpoint, refusal, token


async def test_a_host_gets_so_many_requests_at_once_and_so_many_a_second(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    sqlite_sweeping.caps = Caps(per_host=3, per_second=25.0)
    await sqlite_sweeping.connected(30, client_credentials(granted.url))
    load = Load(seconds=0.15)
    granted.answer(load)
    counts = await sqlite_sweeping.sweep()
    assert counts == {Outcome.RENEWED: 30}
    assert load.most == 3
    assert load.times[-1] - load.times[0] > 0.9 * 29 / 25


async def test_all_hosts_together_get_no_more_than_the_cap_of_a_batch(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    sqlite_sweeping.caps = Caps(per_host=5, per_second=1000.0, in_all=2)
    await sqlite_sweeping.connected(12, client_credentials(granted.url))
    load = Load(seconds=0.02)
    granted.answer(load)
    assert await sqlite_sweeping.sweep() == {Outcome.RENEWED: 12}
    assert load.most == 2


async def test_a_slow_host_does_not_keep_another_waiting(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint, other_endpoint: TokenEndpoint
) -> None:
    other_endpoint.answer(token("first"))
    await sqlite_sweeping.connected(10, client_credentials(granted.url), prefix="slow")
    await sqlite_sweeping.connected(10, client_credentials(other_endpoint.url), prefix="quick")
    slow, quick = Load(seconds=1.5), Load()
    granted.answer(slow)
    other_endpoint.answer(quick)
    await sqlite_sweeping.sweep()
    assert max(quick.times) < slow.times[5]


async def test_no_more_is_begun_when_the_time_of_a_batch_is_up_and_the_rest_stays_due(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    sqlite_sweeping.caps = Caps(per_host=1, per_second=1000.0, seconds=0.2)
    accounts = await sqlite_sweeping.connected(4, client_credentials(granted.url))
    granted.answer(Load(seconds=0.3))
    [batch] = await sqlite_sweeping.page()
    counts = await sqlite_sweeping.renew_ahead().batch(batch)
    assert counts == {Outcome.RENEWED: 1, Outcome.LEFT: 3}
    assert [row.version for row in await sqlite_sweeping.rows(accounts)].count(2) == 1


async def test_a_429_delays_its_host_as_it_asks_and_no_other(
    sweeping: Sweeping, granted: TokenEndpoint, other_endpoint: TokenEndpoint
) -> None:
    """Row 8: no `error` in the body, `Retry-After: 120`."""
    other_endpoint.answer(token("first"))
    busy = await sweeping.connected(8, client_credentials(granted.url), prefix="busy")
    free = await sweeping.connected(3, client_credentials(other_endpoint.url), prefix="free")
    stored = [await sweeping.bench.record(each) for each in busy]
    granted.answer(refusal(429, message="too many", headers=[("Retry-After", "120")]))
    counts = await sweeping.sweep()
    asked = len(granted.requests)
    await sweeping.sweep()
    assert asked <= 8 + 5  # at most as many as were under way when the first answer came
    assert counts[Outcome.RENEWED] == 3
    assert counts[Outcome.LEFT] > 0
    assert len(granted.requests) == asked
    assert [await sweeping.bench.record(each) for each in busy] == stored
    assert {row.version for row in await sweeping.rows(free)} == {2}

    granted.answer(token("second"))
    await sweeping.pass_time(121)
    await sweeping.sweep()
    assert {row.version for row in await sweeping.rows(busy)} == {2}


async def test_an_endpoint_that_fails_for_six_hours_gets_a_request_now_and_then_and_recovers_by_itself(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 9: 503 for six hours, a sweep every two minutes."""
    accounts = await sqlite_sweeping.connected(15, client_credentials(granted.url))
    before = len(granted.requests)
    granted.answer(refusal(503))
    for _ in range(6 * 30):
        await sqlite_sweeping.sweep()
        await sqlite_sweeping.pass_time(120)
    asked = len(granted.requests) - before
    waiting = await sqlite_sweeping.rows(accounts)
    granted.answer(token("second"))
    await sqlite_sweeping.pass_time(600)
    await sqlite_sweeping.sweep()
    recovered = await sqlite_sweeping.rows(accounts)
    assert 36 <= asked <= 60
    assert {row.state for row in waiting} == {"active"}
    assert {(await sqlite_sweeping.bench.account(each)).state for each in accounts} == {ACTIVE}
    assert [row.version for row in recovered].count(2) >= 10  # the others had a turn of their own, and wait an hour
    assert [record.levelno for record in caplog.records if record.levelno >= logging.WARNING] == [logging.WARNING]


async def test_a_failing_host_is_left_alone_and_tried_again_by_a_single_request(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    await sqlite_sweeping.connected(20, client_credentials(granted.url))
    granted.answer(refusal(500))
    counts = await sqlite_sweeping.sweep()
    async with sqlite_sweeping.bench.database.read() as connection:
        [shut] = await closed_hosts(connection)
    await sqlite_sweeping.pass_time(31)
    failed = len(granted.requests)
    await sqlite_sweeping.sweep()
    assert 5 <= counts[Outcome.FAILED] <= 9  # with those that were under way when the fifth failed
    assert counts[Outcome.FAILED] + counts[Outcome.LEFT] == 20
    assert (shut.host, 0 < shut.seconds <= 30) == (granted.host, True)
    assert len(granted.requests) == failed + 1


async def test_failures_in_a_row_only_leave_a_host_alone(sqlite_sweeping: Sweeping, granted: TokenEndpoint) -> None:
    sqlite_sweeping.caps = Caps(per_host=1, per_second=1000.0)
    await sqlite_sweeping.connected(12, client_credentials(granted.url))
    fail = [refusal(500)] * 4
    granted.answer(*fail, token("a"), *fail, token("b"))
    counts = await sqlite_sweeping.sweep()
    assert counts == {Outcome.FAILED: 8, Outcome.RENEWED: 4}


async def test_a_run_may_still_ask_a_host_that_the_sweep_leaves_alone(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    accounts = await sqlite_sweeping.connected(20, client_credentials(granted.url))
    granted.answer(refusal(500))
    await sqlite_sweeping.sweep()
    granted.answer(token("on-demand"))
    assert (await sqlite_sweeping.bench.process().ensure(accounts[-1], 1)).token == "on-demand"


# A refused OAuth client (row 10).


async def test_a_refused_client_makes_one_alert_and_no_account_is_marked(
    sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    """Row 10: 401 `invalid_client` for everybody who shares the client."""
    accounts = await sweeping.connected(30, client_credentials(granted.url))
    before = len(granted.requests)
    granted.answer(refusal(401, "invalid_client"))
    counts = await sweeping.sweep()
    asked = len(granted.requests) - before
    await sweeping.pass_time(1800)
    await sweeping.sweep()
    async with sweeping.bench.database.read() as connection:
        [stopped] = await stopped_clients(connection)
    assert asked <= 5
    assert counts == {Outcome.FAILED: asked, Outcome.LEFT: 30 - asked}
    assert len(granted.requests) - before == asked
    assert {(await sweeping.bench.account(each)).state for each in accounts} == {ACTIVE}
    assert {row.state for row in await sweeping.rows(accounts)} == {"active"}
    assert (stopped.host, stopped.reason, stopped.accounts) == (granted.host, "invalid_client", 30)
    [alert] = await posted(sweeping.bench.database)
    assert (alert.kind, alert.cause) == (NotificationKind.CLIENT_REFUSED, "invalid_client")


async def test_a_refused_client_is_tried_by_one_request_an_hour_without_another_alert(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    await sqlite_sweeping.connected(30, client_credentials(granted.url))
    granted.answer(refusal(401, "invalid_client"))
    await sqlite_sweeping.sweep()
    asked = len(granted.requests)
    for _ in range(3):
        await sqlite_sweeping.pass_time(3601)
        await sqlite_sweeping.sweep()
    assert len(granted.requests) == asked + 3
    assert len(await posted(sqlite_sweeping.bench.database)) == 1


async def test_a_client_that_is_accepted_again_is_swept_as_before(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    accounts = await sqlite_sweeping.connected(10, client_credentials(granted.url))
    granted.answer(refusal(401, "invalid_client"))
    await sqlite_sweeping.sweep()
    granted.answer(token("again"))
    await sqlite_sweeping.pass_time(3601)
    await sqlite_sweeping.sweep()
    async with sqlite_sweeping.bench.database.read() as connection:
        assert await stopped_clients(connection) == []
    assert {row.version for row in await sqlite_sweeping.rows(accounts)} == {2}


async def test_a_corrected_secret_lets_the_sweep_go_on_at_once(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    accounts = await sqlite_sweeping.connected(10, client_credentials(granted.url))
    granted.answer(refusal(401, "invalid_client"))
    await sqlite_sweeping.sweep()
    granted.answer(token("again"))
    await sqlite_sweeping.bench.accounts.set_integration_secrets("account", {"client_secret": "planted-right-secret"})
    await sqlite_sweeping.sweep()
    assert {row.version for row in await sqlite_sweeping.rows(accounts)} == {2}


async def test_another_client_at_the_same_host_is_swept_all_the_same(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    refused = await sqlite_sweeping.connected(4, client_credentials(granted.url), prefix="refused")
    [other] = await sqlite_sweeping.connected(1, client_credentials(granted.url), prefix="other", client_id="client-2")
    sqlite_sweeping.caps = Caps(per_host=1, per_second=1000.0)
    granted.answer(refusal(401, "invalid_client"), token("second"))
    await sqlite_sweeping.sweep()
    assert [row.version for row in await sqlite_sweeping.rows([*refused, other])] == [1, 1, 1, 1, 2]

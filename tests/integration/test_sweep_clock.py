"""Time: a month of sweeps, clocks that step, and imports that expire at once.

What is due is decided by the database's clock, which nobody can turn: Temporal's server that skips time moves the
clocks of workflows, and the sweep has no timers. So all instants in the database are moved instead, which is the same
seen from every statement (`Sweeping.pass_time`).
"""

import asyncio
import time
from dataclasses import dataclass

import pytest

from auth.ahead import Caps, Outcome
from auth.refresh_plan import DAY
from definitions.notification import NotificationKind
from tests.fixtures.http import Answer, Received, Wire
from tests.fixtures.posted import posted
from tests.fixtures.refreshing import client_credentials, rotating
from tests.fixtures.sweeping import Load, Sweeping
from tests.fixtures.token_endpoint import Held, RotatingGrants, TokenEndpoint, refusal, token

HOUR = 3600.0


@dataclass
class ForgetfulGrants(RotatingGrants):
    """Tokens of eight hours; their refresh tokens rotate, and one that was not used for three days is forgotten."""

    now: float = 0.0
    last: float = 0.0

    async def refresh(self, received: Received, wire: Wire) -> Answer:
        if self.now - self.last > 3 * DAY:
            return refusal(400, "invalid_grant")
        self.last = self.now
        return await super().refresh(received, wire)

    def _issue(self) -> Answer:
        super()._issue()
        return token(f"access-{self.rotations}", refresh_token=self._current, expires_in=8 * HOUR)


async def test_an_account_that_nobody_uses_stays_alive_for_thirty_days(
    sqlite_sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = ForgetfulGrants(forgiving=False)
    opened = await rotating(sqlite_sweeping.bench, endpoint, refresh_endpoint, grants)
    await sqlite_sweeping.due(opened)
    await sqlite_sweeping.sweep()
    expired = 0
    while grants.now < 30 * DAY:
        row = await sqlite_sweeping.bench.row(opened)
        assert row.refresh_at is not None
        until_due = max(row.refresh_at - row.now, 0.0) + 30  # a sweep every half minute
        await sqlite_sweeping.pass_time(until_due)
        grants.now += until_due
        row = await sqlite_sweeping.bench.row(opened)
        expired += row.access_expires_at is None or row.access_expires_at <= row.now
        await sqlite_sweeping.sweep()
    assert expired == 0
    assert (grants.logins, grants.reuses) == (1, 0)
    assert 90 / 0.87 < grants.rotations < 90 / 0.69
    assert (await sqlite_sweeping.bench.row(opened)).state == "active"


async def test_a_clock_that_steps_forward_makes_no_more_requests_than_the_caps_allow_and_one_for_each_account(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    """Row 13: two hours forward, every token is suddenly due."""
    accounts = await sqlite_sweeping.connected(25, client_credentials(granted.url))
    await sqlite_sweeping.sweep()
    sqlite_sweeping.caps = Caps(per_host=2, per_second=200.0)
    load = Load(seconds=0.02)
    granted.answer(load)
    await sqlite_sweeping.pass_time(2 * HOUR)
    counts = await sqlite_sweeping.sweep()
    assert counts == {Outcome.RENEWED: 25}
    assert (len(load.times), load.most) == (25, 2)
    assert {row.version for row in await sqlite_sweeping.rows(accounts)} == {3}


async def test_a_clock_that_steps_back_renews_nothing_twice(sweeping: Sweeping, granted: TokenEndpoint) -> None:
    """Row 13: ten minutes back, right after everything was renewed."""
    accounts = await sweeping.connected(3, client_credentials(granted.url))
    await sweeping.sweep()
    asked = len(granted.requests)
    await sweeping.pass_time(-600)
    assert await sweeping.sweep() == {}
    assert (await sweeping.bench.process().ensure(accounts[0])).version == 2
    assert len(granted.requests) == asked


async def test_a_clock_that_steps_back_in_the_middle_of_a_renewal_lets_nobody_else_begin_one(
    sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    held = Held(token("second"))
    granted.answer(held, token("too-many"))
    under_way = asyncio.create_task(sweeping.sweep())
    await held.arrived.wait()
    await sweeping.pass_time(-600)
    assert await sweeping.sweep() == {}
    held.release()
    assert await under_way == {Outcome.RENEWED: 1}
    assert (await sweeping.bench.stored(opened)).token == "second"
    assert len(granted.requests) == 2


@pytest.mark.parametrize("step", [-600.0, 2 * HOUR])
async def test_the_clock_of_a_worker_decides_nothing(
    sweeping: Sweeping, granted: TokenEndpoint, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    due, later = await sweeping.connected(2, client_credentials(granted.url))
    await sweeping.due(later, seconds=-300)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    assert await sweeping.sweep() == {Outcome.RENEWED: 1}
    row = await sweeping.bench.row(due)
    assert row.issued_at is not None
    assert abs(row.now - row.issued_at) < 60
    assert [each.version for each in await sweeping.rows([due, later])] == [2, 1]


async def test_a_refresh_token_that_is_given_again_keeps_the_end_that_was_told_of_it(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=True)
    opened = await rotating(sweeping.bench, endpoint, refresh_endpoint, grants)
    refresh_endpoint.answer(token("a", refresh_token="fixed", refresh_token_expires_in=90 * DAY), token("b"))
    await sweeping.due(opened)
    await sweeping.sweep()
    told = await sweeping.bench.row(opened)
    await sweeping.due(opened)
    await sweeping.sweep()
    row = await sweeping.bench.row(opened)
    assert (row.version, told.version) == (3, 2)
    assert told.refresh_expires_at is not None
    assert row.refresh_expires_at == told.refresh_expires_at
    assert row.warn_at == told.refresh_expires_at - 7 * DAY


async def test_the_end_of_a_refresh_token_is_told_to_people_by_account_and_date_and_not_again_after_a_restart(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=True)
    opened = await rotating(sweeping.bench, endpoint, refresh_endpoint, grants)
    refresh_endpoint.answer(token("a", refresh_token="fixed", refresh_token_expires_in=90 * DAY))
    await sweeping.due(opened)
    await sweeping.sweep()
    for days in (82, 2, 1, 4, 1.5):
        await sweeping.pass_time(days * DAY)
        for _ in range(2):
            await sweeping.warn()
    warnings = [each.message for each in await posted(sweeping.bench.database, NotificationKind.REFRESH_TOKEN_ENDS)]
    assert len(warnings) == 2
    assert all(warning.startswith("account 'main': its refresh token ends on 20") for warning in warnings)

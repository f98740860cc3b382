"""What a killed worker left behind is followed by the others within seconds, without a sweep and without a call."""

import asyncio

from runtime.following import Following
from storage.database import db_now
from storage.due_tokens import abandoned
from tests.fixtures.refreshing import rotating
from tests.fixtures.sweeping import Sweeping
from tests.fixtures.token_endpoint import RotatingGrants, TokenEndpoint, silence
from tests.fixtures.waiting import until


async def test_a_token_whose_holder_was_killed_is_asked_for_again_when_its_claim_has_ended(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=True)
    opened = await rotating(sweeping.bench, endpoint, refresh_endpoint, grants)
    following = Following(sweeping.bench.database, sweeping.renew_ahead())
    refresh_endpoint.answer(silence)
    killed = asyncio.create_task(sweeping.bench.process().ensure(opened))
    await refresh_endpoint.asked(1)
    leased = await sweeping.bench.row(opened)
    refresh_endpoint.answer(grants.refresh)
    assert await following.follow() == 0
    await sweeping.pass_time(leased.lease_until - leased.now + 1)

    async def renewed() -> bool:
        return (await sweeping.bench.stored(opened)).token == "access-1.1"

    async with following.running():
        await until(renewed, limit=30)
    killed.cancel()


async def test_what_is_merely_due_and_what_failed_is_left_to_the_sweep(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    opened = await rotating(sweeping.bench, endpoint, refresh_endpoint, RotatingGrants(forgiving=True))
    await sweeping.due(opened)
    assert await Following(sweeping.bench.database, sweeping.renew_ahead()).follow() == 0
    await sweeping.bench.set_token_row(opened, attempt_id="a", lease_until=0.0, lease_owner=None)
    assert await Following(sweeping.bench.database, sweeping.renew_ahead()).follow() == 0


async def test_what_is_to_be_looked_at_again_later_is_not_followed_before(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    opened = await rotating(sweeping.bench, endpoint, refresh_endpoint, RotatingGrants(forgiving=True))
    await sweeping.bench.set_token_row(opened, lease_owner="gone", lease_until=0.0, refresh_at=db_now() + 60)
    async with sweeping.bench.database.read() as connection:
        assert list(await abandoned(connection)) == []
    await sweeping.pass_time(61)
    async with sweeping.bench.database.read() as connection:
        assert list(await abandoned(connection)) == [opened.account.id]

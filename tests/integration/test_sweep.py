"""What the sweep does with the accounts whose tokens are due; it goes the one path to a token like everybody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from auth.ahead import Outcome, RenewAhead
from auth.credential import OpenAccount
from auth.refresh import Refresher
from auth.refresh_plan import DAY, Ahead
from auth.resolver import CredentialResolver
from storage.accounts import DISCONNECTED, NEEDS_RECONNECT, set_account_state
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.schema import definitions, vault_records
from tests.fixtures.refreshing import CLIENT, LOGIN, Bench, client_credentials, login, login_and_refresh, rotating
from tests.fixtures.sweeping import Sweeping
from tests.fixtures.token_endpoint import Held, RotatingGrants, TokenEndpoint, refusal, silence, token


async def swept(sweeping: Sweeping, opened: OpenAccount) -> dict[str, int]:
    """The account made due, and the sweep's counts."""
    await sweeping.due(opened)
    return {outcome.value: count for outcome, count in (await sweeping.sweep()).items() if count}


async def test_a_due_token_is_renewed_though_it_is_still_good(sweeping: Sweeping, granted: TokenEndpoint) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    granted.answer(token("second"))
    counts = await sweeping.sweep()
    row = await sweeping.bench.row(opened)
    assert counts == {Outcome.RENEWED: 1}
    assert (await sweeping.bench.stored(opened)).token == "second"
    assert (row.version, row.lease_owner) == (2, None)
    assert row.refresh_at is not None
    assert row.now + 0.69 * 3600 < row.refresh_at < row.now + 0.86 * 3600


async def test_a_token_that_is_not_due_is_left_alone(sweeping: Sweeping, granted: TokenEndpoint) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    await sweeping.sweep()
    assert await sweeping.sweep() == {}
    assert len(granted.requests) == 2
    assert (await sweeping.bench.row(opened)).version == 2


async def test_two_sweeps_at_once_and_a_call_that_needs_the_token_make_one_request(
    sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    await sweeping.bench.nearly_expire(opened)
    await sweeping.due(opened)
    held = Held(token("second"))
    granted.answer(held, token("too-many"))
    work = [asyncio.create_task(sweeping.sweep()) for _ in range(2)]
    await held.arrived.wait()
    state = await sweeping.bench.process().ensure(opened)
    held.release()
    await asyncio.gather(*work)
    assert state.token == "first"
    assert (await sweeping.bench.stored(opened)).token == "second"
    assert len(granted.requests) == 2


async def test_a_rotated_refresh_token_is_stored_by_the_sweep_like_by_a_call(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=False)
    opened = await rotating(sweeping.bench, endpoint, refresh_endpoint, grants)
    for _ in range(4):
        assert (await swept(sweeping, opened))["renewed"] == 1
    assert (grants.rotations, grants.reuses, grants.logins) == (4, 0, 1)
    assert (await sweeping.bench.stored(opened)).refresh_token == "refresh-1.4"


async def test_an_answer_lost_by_a_killed_process_is_asked_for_again_by_the_sweep_at_the_end_of_its_lease(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    grants = RotatingGrants(forgiving=True)
    opened = await rotating(sweeping.bench, endpoint, refresh_endpoint, grants)
    refresh_endpoint.answer(silence)
    killed = asyncio.create_task(sweeping.bench.process().ensure(opened))
    await refresh_endpoint.asked(1)
    leased = await sweeping.bench.row(opened)
    refresh_endpoint.answer(grants.refresh)
    assert await sweeping.sweep() == {}
    await sweeping.pass_time(leased.lease_until - leased.now + 1)
    assert await sweeping.sweep() == {Outcome.RENEWED: 1}
    assert (await sweeping.bench.stored(opened)).token == "access-1.1"
    killed.cancel()


async def test_a_dead_grant_is_told_once_and_never_asked_again(
    sweeping: Sweeping, endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.answer(token("first"), refusal(400, "invalid_grant"))
    opened = await sweeping.bench.connect(login(endpoint.url), LOGIN)
    await sweeping.bench.process().ensure(opened)
    await swept(sweeping, opened)
    assert await swept(sweeping, opened) == {}
    account = await sweeping.bench.account(opened)
    assert (account.state, account.cause) == (NEEDS_RECONNECT, "invalid_grant")
    assert len(endpoint.requests) == 2
    assert [record.levelname for record in caplog.records if "no longer accepts its grant" in record.message] == [
        "WARNING"
    ]


async def test_a_request_that_cannot_be_built_is_told_and_looked_at_again_in_an_hour(
    sweeping: Sweeping, granted: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    async with sweeping.bench.database.write() as connection:
        await connection.execute(delete(vault_records).where(vault_records.c.field == "client_id"))
    await sweeping.sweep()
    row = await sweeping.bench.row(opened)
    assert row.version == 1
    assert row.refresh_at == pytest.approx(row.now + 3600, abs=30)
    assert "account-0" in caplog.text


async def test_an_unreadable_secret_stops_nobody_else(sweeping: Sweeping, granted: TokenEndpoint) -> None:
    broken, well = await sweeping.connected(2, client_credentials(granted.url))
    async with sweeping.bench.database.write() as connection:
        record = vault_records.c
        await connection.execute(
            vault_records.update()
            .where(record.record_id == broken.account.id, record.field == "client_secret")
            .values(ciphertext=b"damaged")
        )
    counts = await sweeping.sweep()
    assert counts[Outcome.RENEWED] == 1
    assert counts[Outcome.FAILED] == 1
    assert [row.version for row in await sweeping.rows([broken, well])] == [1, 2]
    assert await sweeping.sweep() == {}


async def test_an_account_whose_integration_is_gone_stops_nobody_else(
    sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    [orphan] = await sweeping.connected(1, client_credentials(granted.url), prefix="orphan")
    [well] = await sweeping.connected(1, client_credentials(granted.url))
    async with sweeping.bench.database.write() as connection:
        await connection.execute(delete(definitions).where(definitions.c.key == "orphan"))
    await sweeping.sweep()
    assert [row.version for row in await sweeping.rows([orphan, well])] == [1, 2]
    assert await sweeping.sweep() == {}


async def test_accounts_without_tokens_that_renew_are_taken_off_the_list(sweeping: Sweeping) -> None:
    auth = {"type": "api_token", "place": [{"in": "header", "name": "X-Key", "value": "{token}"}]}
    opened = await sweeping.bench.connect(auth, {"token": "planted-token"})
    await sweeping.bench.accounts.set_secrets("main", {"token": "planted-other"})
    await sweeping.sweep()
    assert (await sweeping.bench.row(opened)).refresh_at is None


async def test_a_disconnected_account_is_not_renewed(sweeping: Sweeping, granted: TokenEndpoint) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    async with sweeping.bench.database.write() as connection:
        await set_account_state(connection, opened.account.id, DISCONNECTED, "by a person")
    await sweeping.sweep()
    assert len(granted.requests) == 1
    assert (await sweeping.bench.row(opened)).refresh_at is None


async def test_a_changed_secret_brings_a_new_token_at_the_next_sweep(
    sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    await sweeping.sweep()
    granted.answer(token("by-the-new-secret"))
    await sweeping.bench.accounts.set_secrets("account-0", {"client_secret": "planted-other-secret"})
    await sweeping.sweep()
    assert (await sweeping.bench.stored(opened)).token == "by-the-new-secret"


async def test_a_token_endpoint_that_moved_is_counted_in_at_its_new_host_before_it_is_asked(
    sweeping: Sweeping, granted: TokenEndpoint, other_endpoint: TokenEndpoint
) -> None:
    [opened] = await sweeping.connected(1, client_credentials(granted.url))
    other_endpoint.answer(token("elsewhere"))
    await sweeping.bench.define(client_credentials(other_endpoint.url), key="account")
    counts = await sweeping.sweep()
    assert counts == {Outcome.PLACED: 1, Outcome.RENEWED: 1}
    assert (await sweeping.bench.row(opened)).token_host == other_endpoint.host
    assert len(granted.requests) == 1


@pytest.mark.parametrize("lifetime", [60, 299])
async def test_tokens_of_less_than_five_minutes_are_renewed_on_demand_only(
    sweeping: Sweeping, endpoint: TokenEndpoint, lifetime: int
) -> None:
    endpoint.answer(token("first", expires_in=lifetime), refusal(500), token("second", expires_in=lifetime))
    opened = await sweeping.bench.connect(client_credentials(endpoint.url), CLIENT)
    await sweeping.bench.process().ensure(opened)
    await sweeping.bench.process().ensure(opened, 0)
    await sweeping.pass_time(lifetime - 10)
    with pytest.raises(Exception, match="gave no token"):
        await sweeping.bench.process().ensure(opened, 1)
    await sweeping.pass_time(DAY)
    assert await sweeping.sweep() == {}
    assert len(endpoint.requests) == 2


class Faulty(CredentialResolver):
    """Meets a fault of ours with one account."""

    poisoned = ""

    async def renew_ahead(self, account_id: str, host: str | None, client: str | None) -> Ahead:
        if account_id == self.poisoned:
            raise LookupError("nobody thought of this")
        return await super().renew_ahead(account_id, host, client)


async def test_a_fault_of_ours_with_one_account_keeps_no_other_from_its_token(
    sweeping: Sweeping, granted: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    bench = sweeping.bench
    accounts = await sweeping.connected(3, client_credentials(granted.url))
    faulty = Faulty(bench.database, bench.vault, bench.definitions, bench.process())
    faulty.poisoned = accounts[0].account.id
    [batch] = await sweeping.page()
    counts = await RenewAhead(bench.database, faulty, sweeping.caps).batch(batch)
    assert counts == {Outcome.FAILED: 1, Outcome.RENEWED: 2}
    assert await sweeping.page() == []
    assert "nobody thought of this" in caplog.text


class Unwritable(Database):
    """Its disk is full."""

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        raise DatabaseUnavailable("the disk is full")
        yield  # pragma: no cover


async def test_a_batch_ends_with_an_error_when_the_database_goes_and_all_stay_due(
    sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    bench = sweeping.bench
    accounts = await sweeping.connected(3, client_credentials(granted.url))
    full = Unwritable(bench.url)
    refresher = Refresher(full, bench.vault, bench.http)
    renew = RenewAhead(full, CredentialResolver(full, bench.vault, bench.definitions, refresher))
    with pytest.raises(DatabaseUnavailable, match="disk is full"):
        await renew.batch([each.account.id for each in accounts])
    await full.dispose()
    assert len(granted.requests) == 3
    assert await sweeping.sweep() == {Outcome.RENEWED: 3}


# What is kept alive though nobody uses it.


async def kept(bench: Bench, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint, **auth: str) -> OpenAccount:
    opened = await bench.connect(login_and_refresh(endpoint.url, refresh_endpoint.url, **auth), LOGIN)
    await bench.process().ensure(opened)
    return opened


@pytest.mark.parametrize("expires_in", [None, 7 * DAY, 60])
async def test_an_unused_account_whose_refresh_token_may_not_lie_idle_is_renewed_every_day(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint, expires_in: float | None
) -> None:
    stated = {"expires_in": expires_in}
    endpoint.answer(token("first", refresh_token="r", **stated))
    refresh_endpoint.answer(token("kept", refresh_token="r", **stated))
    await kept(sweeping.bench, endpoint, refresh_endpoint, keep_alive="1d")
    for _ in range(3):
        await sweeping.pass_time(DAY)
        await sweeping.sweep()
    assert len(refresh_endpoint.requests) == 3


async def test_a_refresh_token_of_an_access_token_of_unknown_life_is_used_daily_by_default(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first", refresh_token="r", expires_in=None))
    refresh_endpoint.answer(token("kept", expires_in=None))
    await kept(sweeping.bench, endpoint, refresh_endpoint)
    await sweeping.pass_time(0.5 * DAY)
    assert await sweeping.sweep() == {}
    await sweeping.pass_time(0.5 * DAY)
    assert await sweeping.sweep() == {Outcome.RENEWED: 1}


async def test_saying_later_how_long_a_refresh_token_may_lie_idle_costs_no_token(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first", refresh_token="r"))
    await kept(sweeping.bench, endpoint, refresh_endpoint)
    await sweeping.bench.define(login_and_refresh(endpoint.url, refresh_endpoint.url, keep_alive="1d"))
    state = await sweeping.bench.process().ensure(await sweeping.bench.open())
    assert (state.token, state.version) == ("first", 1)


async def test_a_token_of_unknown_life_without_a_refresh_token_has_nothing_to_keep_alive(
    sweeping: Sweeping, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first", expires_in=None))
    opened = await sweeping.bench.connect(client_credentials(endpoint.url))
    await sweeping.bench.process().ensure(opened)
    assert (await sweeping.bench.row(opened)).refresh_at is None


async def test_a_long_lived_token_is_not_renewed_daily_unless_its_integration_says_so(
    sweeping: Sweeping, endpoint: TokenEndpoint, refresh_endpoint: TokenEndpoint
) -> None:
    endpoint.answer(token("first", refresh_token="r", expires_in=60 * DAY))
    await kept(sweeping.bench, endpoint, refresh_endpoint)
    await sweeping.pass_time(10 * DAY)
    assert await sweeping.sweep() == {}

"""What is due is found by the index alone, in pages, whatever the number of accounts."""

import re
from typing import Any

import pytest
from sqlalchemy import Select, update

from storage.accounts import insert_account
from storage.database import Database, db_now
from storage.due_tokens import (
    DAY,
    DueToken,
    abandoned_query,
    count_due,
    due_query,
    due_tokens,
    place_token,
    postpone_token,
    still_due,
    take_warnings,
)
from storage.schema import tokens
from storage.tokens import TokenRow, claim_token, read_token
from tests.fixtures.many_tokens import fill, pass_time


async def row(database: Database, account_id: str) -> TokenRow:
    async with database.read() as connection:
        found = await read_token(connection, account_id)
    assert found is not None
    return found


async def account(database: Database, account_id: str, *, due_for: float | None, **values: object) -> None:
    """An account whose token is due since so many seconds, or in so many when negative."""
    async with database.write() as connection:
        await insert_account(connection, account_id, account_id, "crm", {})
        due = None if due_for is None else db_now() - due_for
        changed = (
            update(tokens).where(tokens.c.account_id == account_id).values({"refresh_at": due, "version": 1} | values)
        )
        await connection.execute(changed)


async def due_ids(database: Database, after: DueToken | None = None, limit: int = 500) -> list[str]:
    async with database.read() as connection:
        return [each.account_id for each in await due_tokens(connection, after, limit)]


async def plan(database: Database, query: Select[*tuple[Any, ...]]) -> str:
    """How the database carries it out, with its values bound as in earnest."""
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF)"
    compiled = query.compile(database.engine.sync_engine)
    values = compiled.construct_params()
    bound = tuple(values[name] for name in compiled.positiontup or ())
    async with database.read() as connection:
        rows = (await connection.exec_driver_sql(f"{explain} {compiled}", bound)).all()
    return "\n".join(str(each[-1]) for each in rows)


async def test_the_longest_due_come_first_and_nothing_that_is_not_due(database: Database) -> None:
    await account(database, "ten", due_for=10)
    await account(database, "hundred", due_for=100)
    await account(database, "in-a-minute", due_for=-60)
    await account(database, "on-demand", due_for=None)
    await account(database, "dead", due_for=100, state="dead")
    assert await due_ids(database) == ["hundred", "ten"]


async def test_pages_hold_every_row_once_though_all_are_due_at_the_same_instant(database: Database) -> None:
    for number in range(7):
        await account(database, f"a{number}", due_for=None, refresh_at=0.0)
    found: list[DueToken] = []
    async with database.read() as connection:
        while page := await due_tokens(connection, found[-1] if found else None, limit=3):
            found += page
    assert [each.account_id for each in found] == [f"a{number}" for number in range(7)]


async def test_a_claim_takes_a_row_out_of_what_is_due(database: Database) -> None:
    await account(database, "one", due_for=10)
    async with database.write() as connection:
        fence = await claim_token(
            connection,
            "one",
            seen_version=1,
            owner="me",
            lease=60,
            attempt_id="a",
            fingerprint=None,
            host="auth.example.com",
            client="c",
        )
    claimed = await row(database, "one")
    assert fence == 1
    assert await due_ids(database) == []
    assert (claimed.token_host, claimed.token_client) == ("auth.example.com", "c")
    assert claimed.refresh_at == pytest.approx(claimed.lease_until, abs=0.01)


async def test_a_claim_that_was_abandoned_is_due_again_when_its_lease_ends(database: Database) -> None:
    await account(database, "one", due_for=-60, lease_until=db_now() - 1, attempt_id="a")
    await pass_time(database, 61)
    assert await due_ids(database) == ["one"]


async def test_only_what_is_still_due_of_a_page_is_worked_on(database: Database) -> None:
    await account(database, "due", due_for=10, token_host="h", token_client="c")
    await account(database, "renewed", due_for=-600)
    async with database.read() as connection:
        found = await still_due(connection, ["due", "renewed", "deleted"])
    assert [(each.account_id, each.host, each.client) for each in found] == [("due", "h", "c")]


async def test_what_a_killed_process_left_in_doubt_goes_before_what_is_due_for_longer(database: Database) -> None:
    await account(database, "long", due_for=600)
    await account(database, "in-doubt", due_for=1, lease_until=db_now() - 1, attempt_id="a")
    await account(database, "longest", due_for=900)
    async with database.read() as connection:
        found = await still_due(connection, ["long", "in-doubt", "longest"])
    assert [each.account_id for each in found] == ["in-doubt", "longest", "long"]


async def test_a_token_is_placed_and_postponed_only_while_it_is_due_and_unclaimed(database: Database) -> None:
    await account(database, "due", due_for=10)
    await account(database, "claimed", due_for=10, lease_until=db_now() + 60)
    await account(database, "renewed", due_for=-600)
    before = await row(database, "renewed")
    async with database.write() as connection:
        for each in ("due", "claimed", "renewed"):
            await place_token(connection, each, "auth.example.com", "c")
            await postpone_token(connection, each, 100.0)
    due, claimed = await row(database, "due"), await row(database, "claimed")
    assert due.token_host == "auth.example.com"
    assert due.refresh_at is not None
    assert due.now + 90 < due.refresh_at < due.now + 101
    assert claimed.token_host is None
    assert claimed.refresh_at is not None
    assert claimed.refresh_at < claimed.now
    assert (await row(database, "renewed")).refresh_at == before.refresh_at


async def test_what_is_due_and_overdue_is_counted(database: Database) -> None:
    for name, since in (("a", 10.0), ("b", 700.0), ("c", 800.0), ("d", -10.0)):
        await account(database, name, due_for=since)
    async with database.read() as connection:
        counts = await count_due(connection, overdue_after=600)
    assert (counts.due, counts.overdue) == (3, 2)
    assert counts.oldest == pytest.approx(counts.now - 800, abs=5)


async def test_each_refresh_token_is_warned_of_a_week_and_a_day_before_its_end_and_no_more(database: Database) -> None:
    await account(database, "ends", due_for=None, refresh_expires_at=db_now() + 8 * DAY, warn_at=db_now() + DAY)
    await account(database, "dead", due_for=None, state="dead", refresh_expires_at=db_now() + 8 * DAY, warn_at=1.0)
    await account(database, "silent", due_for=None)
    warned: list[list[str]] = []
    for _ in range(10):
        async with database.write() as connection:
            warned.append([each.account_id for each in await take_warnings(connection)])
        await pass_time(database, DAY)
    assert warned == [[], ["ends"], [], [], [], [], [], ["ends"], [], []]


@pytest.fixture(params=[1_000, 100_000])
async def many(request: pytest.FixtureRequest, database: Database) -> Database:
    await fill(database, request.param, due=100)
    return database


@pytest.mark.parametrize("page", ["first", "further"])
async def test_a_page_touches_only_rows_that_are_due(many: Database, page: str) -> None:
    async with many.read() as connection:
        first = await due_tokens(connection, limit=20)
    told = await plan(many, due_query(first[-1] if page == "further" else None, limit=200))
    assert "ix_tokens_due" in told
    if many.dialect == "sqlite":
        assert re.search(r"SEARCH tokens USING INDEX ix_tokens_due \(.*refresh_at.*<\?", told), told
        assert "TEMP B-TREE" not in told
    else:
        assert "Rows Removed by Filter" not in told
        assert "Seq Scan" not in told
        assert f"actual rows={100 if page == 'first' else 80}" in told


async def test_looking_for_abandoned_claims_touches_only_claims(many: Database) -> None:
    told = await plan(many, abandoned_query(limit=200))
    assert "ix_tokens_claimed" in told
    assert "Seq Scan" not in told

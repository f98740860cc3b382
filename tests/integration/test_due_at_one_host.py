"""Thousands that wait for one host make the page of the others no dearer, and keep them from no turn."""

import pytest
from sqlalchemy import null, update

from auth.sweep import PER_HOST, PER_PAGE, DueAccounts, wanted
from storage.database import Database, db_now
from storage.due_tokens import due_tokens
from storage.schema import tokens
from storage.token_hosts import closed, host_failed, shut_host, stop_client
from tests.fixtures.many_tokens import fill
from tests.fixtures.touched import listening, work_of

MANY = 100_000
OTHERS = 3
BOUND = 4_000
"""The work of one page, whatever waits: as rows, or as hundreds of instructions of SQLite."""


def id_of(number: int) -> str:
    return f"{number:032d}"


@pytest.fixture
async def crowded(database: Database) -> Database:
    """All are due at one host, and the three that are due for the shortest time at three others."""
    await fill(database, MANY, due=MANY, hosts=1)
    async with database.write() as connection:
        for number in range(OTHERS):
            values = {"token_host": f"other-{number}", "refresh_at": db_now() - 1}
            await connection.execute(update(tokens).where(tokens.c.account_id == id_of(number)).values(values))
    return database


async def page(database: Database) -> tuple[set[str], int]:
    """Whose tokens are on it, and what it costs the database."""
    with listening(database) as asked:
        batches = await DueAccounts(database).page()
    found = [account for batch in batches for account in batch]
    assert len(found) == len(set(found))
    return set(found), await work_of(database, asked)


async def test_a_page_touches_few_rows_though_all_are_due_at_one_host(crowded: Database) -> None:
    found, work = await page(crowded)
    assert {id_of(number) for number in range(OTHERS)} < found
    assert len(found) == PER_HOST + OTHERS
    assert work < BOUND


async def test_a_page_touches_few_rows_though_most_wait_for_a_host_that_is_left_alone(crowded: Database) -> None:
    async with crowded.write() as connection:
        await host_failed(connection, "host-0")
        await shut_host(connection, "host-0", 600)
    found, work = await page(crowded)
    assert found == {id_of(number) for number in range(OTHERS)}
    assert work < BOUND


async def test_a_page_touches_few_rows_though_the_hosts_of_most_are_not_known_yet(crowded: Database) -> None:
    async with crowded.write() as connection:
        nowhere = update(tokens).where(tokens.c.token_host == "host-0").values(token_host=null())
        await connection.execute(nowhere)
    found, work = await page(crowded)
    assert len(found) == PER_PAGE
    assert work < BOUND


@pytest.mark.parametrize("hosts", [1, 3, 6, 40])
async def test_the_longest_due_are_on_a_page_as_if_all_that_is_due_had_been_read(
    database: Database, hosts: int
) -> None:
    await fill(database, 3_000, due=2_500, hosts=hosts)
    async with database.write() as connection:
        await stop_client(connection, "stopped", "host-0", "invalid_client", 3600)
        stopped = (tokens.c.token_host == "host-0") & (tokens.c.account_id > id_of(1_000))
        await connection.execute(update(tokens).where(stopped).values(token_client="stopped"))
        nowhere = update(tokens).where(tokens.c.account_id.between(id_of(2_300), id_of(2_340)))
        await connection.execute(nowhere.values(token_host=null()))
    async with database.read() as connection:
        everything = wanted(await due_tokens(connection, limit=3_000), await closed(connection))
    found, _ = await page(database)
    assert found == {row.account_id for row in everything[:PER_PAGE]}

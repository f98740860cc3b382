"""The database itself, on SQLite and on PostgreSQL."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text, update

from storage.accounts import insert_account
from storage.database import Database, db_now
from storage.errors import DatabaseUnavailable, SchemaTooNew
from storage.schema import accounts, metadata


async def test_the_migrations_make_the_schema_that_the_code_uses(database: Database) -> None:
    async with database.read() as connection:
        made = await connection.run_sync(
            lambda sync: {
                table: {column["name"] for column in inspect(sync).get_columns(table)}
                for table in inspect(sync).get_table_names()
            }
        )
    expected = {table.name: {column.name for column in table.columns} for table in metadata.tables.values()}
    assert made == expected | {"alembic_version": {"version_num"}}


async def test_several_processes_may_migrate_at_once(empty_database_url: str) -> None:
    databases = [Database(empty_database_url) for _ in range(5)]
    await asyncio.gather(*(each.migrate() for each in databases))
    async with databases[0].read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    await asyncio.gather(*(each.dispose() for each in databases))


async def test_one_process_may_migrate_several_databases_at_once(tmp_path: Path) -> None:
    databases = [Database(f"sqlite+aiosqlite:///{tmp_path}/{number}.db") for number in range(5)]
    await asyncio.gather(*(each.migrate() for each in databases))
    await asyncio.gather(*(each.dispose() for each in databases))


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="newer Tieline"):
        await database.migrate()


async def test_concurrent_changes_of_one_row_are_all_counted(database: Database) -> None:
    """SQLAlchemy's default transactions on SQLite lose such updates without an error."""
    async with database.write() as connection:
        await insert_account(connection, "a", "crm-main", "crm", {})

    async def count() -> None:
        async with database.write() as connection:
            query = (
                select(accounts.c.version).with_for_update()
                if database.dialect == "postgresql"
                else select(accounts.c.version)
            )
            version = (await connection.execute(query)).scalar_one()
            await connection.execute(update(accounts).values(version=version + 1))

    await asyncio.gather(*(count() for _ in range(8)))
    async with database.read() as connection:
        assert await connection.scalar(select(accounts.c.version)) == 9


async def test_a_reader_sees_one_moment_and_the_next_reader_a_later_one(database: Database) -> None:
    """An account and its secrets, read one after the other, belong together."""
    async with database.write() as connection:
        await insert_account(connection, "a", "crm-main", "crm", {})
    async with database.read() as reader:
        before = await reader.scalar(select(accounts.c.version))
        async with database.write() as connection:
            await connection.execute(update(accounts).values(version=2))
        assert await reader.scalar(select(accounts.c.version)) == before
    async with database.read() as reader:
        assert await reader.scalar(select(accounts.c.version)) == 2


async def test_the_database_has_one_clock_in_epoch_seconds(database: Database) -> None:
    async with database.read() as connection:
        first = await connection.scalar(select(db_now()))
        second = await connection.scalar(select(db_now()))
    assert first is not None
    assert second is not None
    assert 1_700_000_000 < first <= second < first + 60


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("not a url", "no database URL"),
        ("mysql+aiomysql://u:hunter2secret@h/x", "sqlite\\+aiosqlite or postgresql\\+asyncpg"),
        ("postgresql://u:hunter2secret@h/x", "sqlite\\+aiosqlite or postgresql\\+asyncpg"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=told) as caught:
        Database(url)
    assert "hunter2secret" not in str(caught.value)


async def test_a_server_that_is_away_is_told_without_the_password() -> None:
    database = Database("postgresql+asyncpg://u:hunter2secret@127.0.0.1:1/tieline")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1/tieline") as caught:
        await database.migrate()
    assert "hunter2secret" not in str(caught.value)


async def test_a_database_in_memory_can_be_used() -> None:
    database = Database("sqlite+aiosqlite:///:memory:")
    await database.migrate()
    async with database.read() as connection:
        assert await connection.scalar(select(accounts.c.id)) is None
    await database.dispose()


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/nowhere/tieline.db")
    with pytest.raises(DatabaseUnavailable, match="unable to open"):
        await database.migrate()

"""The schema comes from migrations alone, the same on SQLite and on PostgreSQL; and databases that cannot be used."""

import asyncio
import contextlib
import signal
import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from runtime.assembly import open_stores
from runtime.settings import Settings
from storage.accounts import insert_account
from storage.database import Database
from storage.errors import DatabaseTaken, DatabaseUnavailable, SchemaTooNew
from storage.migrate import MIGRATIONS
from storage.schema import accounts, installation, metadata

ROOT = Path(__file__).parents[2]
PASSWORD = "planted-4f1c9a"

MIGRATING = """
import asyncio, os, signal, sys
from sqlalchemy import Engine, event
from storage.database import Database

database, left = Database(sys.argv[1]), int(sys.argv[2])

@event.listens_for(Engine, "after_cursor_execute")
def count(connection, cursor, statement, *others):
    global left
    left -= statement.strip().startswith("CREATE TABLE")
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(database.migrate())
"""
"""Kills itself behind the table that the second argument counts to."""


def differences(connection: Connection) -> list[Any]:
    """What Alembic would write into the next migration."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def schema_of(database: Database) -> list[Any]:
    """Tables, columns, indexes and constraints as the database tells them."""

    def look(connection: Connection) -> list[Any]:
        found = inspect(connection)
        return [
            (
                name,
                [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)],
                found.get_pk_constraint(name),
                sorted((index["name"] or "", index["column_names"]) for index in found.get_indexes(name)),
                sorted(map(str, found.get_foreign_keys(name))),
                sorted(map(str, found.get_unique_constraints(name))),
            )
            for name in sorted(found.get_table_names())
        ]

    async with database.read() as connection:
        return await connection.run_sync(look)


async def migrated_by_a_process(url: str, dies_at: int = -1) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATING, url, str(dies_at), cwd=ROOT)
    return await asyncio.wait_for(process.wait(), timeout=60)


def shown(error: BaseException) -> str:
    """Everything that a log would show of it."""
    return "".join(traceback.format_exception(error))


async def test_migrations_and_tables_in_the_code_do_not_differ(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_difference_would_be_noticed(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE accounts DROP COLUMN cause"))
        await connection.execute(text("DROP INDEX ix_accounts_integration"))
    async with database.read() as connection:
        found = await connection.run_sync(differences)

    assert {(difference[0], difference[-1].name) for difference in found} == {
        ("add_column", "cause"),
        ("add_index", "ix_accounts_integration"),
    }


@pytest.mark.parametrize("name", ["ix_tokens_due", "ix_tokens_due_at_host"])
async def test_what_is_due_is_found_by_an_index_of_active_tokens(database: Database, name: str) -> None:
    """Autogeneration does not compare conditions of indexes."""
    async with database.read() as connection:
        if database.dialect == "sqlite":
            query = "SELECT sql FROM sqlite_master WHERE name = :name"
        else:
            query = "SELECT indexdef FROM pg_indexes WHERE indexname = :name"
        definition = await connection.scalar(text(query), {"name": name}) or ""

    assert "WHERE" in definition
    assert "'active'" in definition


def test_migrations_are_one_line_without_branches() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)

    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


async def test_migrating_again_changes_nothing(database: Database) -> None:
    async with database.write() as connection:
        await insert_account(connection, "a", "crm-main", "crm", {})
    before = await schema_of(database)
    await database.migrate()
    await database.migrate()

    assert await schema_of(database) == before
    async with database.read() as connection:
        assert await connection.scalar(select(accounts.c.name)) == "crm-main"


async def test_a_database_has_an_id_of_its_own_that_stays(database: Database) -> None:
    async with opened("sqlite+aiosqlite://") as other:
        await other.migrate()
        first = await ids_in(other)
    before = await ids_in(database)
    await database.migrate()

    assert await ids_in(database) == before
    assert len({*first, *before}) == 2


async def ids_in(database: Database) -> list[str]:
    async with database.read() as connection:
        return list(await connection.scalars(select(installation.c.id)))


async def test_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    assert await asyncio.gather(*(migrated_by_a_process(empty_database_url) for _ in range(3))) == [0, 0, 0]

    async with opened(empty_database_url) as database, database.read() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


async def test_a_killed_migration_leaves_nothing_and_the_next_start_completes_it(empty_database_url: str) -> None:
    assert await migrated_by_a_process(empty_database_url, dies_at=5) == -signal.SIGKILL

    async with opened(empty_database_url) as database:
        assert await schema_of(database) == []
        await database.migrate()
        async with database.read() as connection:
            assert await connection.run_sync(differences) == []


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.dispose()


async def test_a_database_newer_than_the_program_is_refused_before_anything_is_touched(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    async with open_stores(settings) as stores:
        async with stores.database.write() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            await connection.execute(text("ALTER TABLE accounts ADD COLUMN of_next_year TEXT"))
        before = await schema_of(stores.database)

        with pytest.raises(SchemaTooNew, match=r"newer Tieline \(revision 9999\): start that version"):
            async with open_stores(settings):
                pytest.fail("it started")

        assert await schema_of(stores.database) == before


async def test_a_database_that_holds_the_tables_of_something_else_is_refused_untouched(empty_database_url: str) -> None:
    async with opened(empty_database_url) as database:
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE tokens (id INTEGER PRIMARY KEY)"))
        before = await schema_of(database)

        with pytest.raises(DatabaseTaken, match="tables of something else, as tokens: give Tieline a database of its"):
            await database.migrate()

        assert await schema_of(database) == before


async def test_a_postgresql_that_is_away_is_told_with_the_next_step_and_without_the_password() -> None:
    database = Database(f"postgresql+asyncpg://tieline:{PASSWORD}@127.0.0.1:1/tieline")
    for use in (database.migrate(), database.read().__aenter__(), database.write().__aenter__()):
        with pytest.raises(DatabaseUnavailable) as caught:
            await use
        assert str(caught.value) == (
            "the database 127.0.0.1/tieline cannot be reached (Connect call failed ('127.0.0.1', 1)): "
            "see that the server runs, and that TIELINE_DATABASE_URL is right"
        )
        assert PASSWORD not in shown(caught.value)


@pytest.mark.parametrize(
    ("user", "name", "told"),
    [
        ("postgres", "nowhere", 'database "nowhere" does not exist'),
        ("nobody", "postgres", 'role "nobody" does not exist'),
    ],
)
async def test_a_postgresql_that_refuses_us_is_told_without_the_password(
    postgresql_url: str, user: str, name: str, told: str
) -> None:
    address = postgresql_url.rpartition("@")[2].partition("/")[0]
    async with opened(f"postgresql+asyncpg://{user}:{PASSWORD}@{address}/{name}") as database:
        with pytest.raises(DatabaseUnavailable, match=f"{told}.*: see that") as caught:
            await database.migrate()
    assert PASSWORD not in shown(caught.value)


async def test_a_role_that_may_not_create_tables_is_told(postgresql_url: str) -> None:
    async with opened(postgresql_url) as database, database.write() as connection:
        await connection.execute(text("DROP ROLE IF EXISTS reader"))
        await connection.execute(text("CREATE ROLE reader LOGIN"))
        await connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))

    async with opened(postgresql_url.replace("postgres@", f"reader:{PASSWORD}@")) as database:
        with pytest.raises(DatabaseUnavailable, match=r"permission denied for schema public.*: see that") as caught:
            await database.migrate()
    assert PASSWORD not in shown(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "not a url",
        f"postgresql+asyncpg://u:{PASSWORD}@host:port/db",
        f"postgresql+asyncpg://u:p@host:{PASSWORD}/db",
        f"postgresql+asyncpg://u:{PASSWORD}/db",
        f"postgresql+asyncpg://u:p@{PASSWORD}@host/db",
        f"postgresql+asyncpg://u:{PASSWORD}@host/db?sslmode=require",
        f"postgresql+psycopg2://u:{PASSWORD}@host/db",
        f"mysql+aiomysql://u:{PASSWORD}@host/db",
        "sqlite:///tieline.db",
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_any_part_of_its_password(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="TIELINE_DATABASE_URL") as caught:
        Database(url)
    assert PASSWORD not in shown(caught.value)


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "tieline.db").write_bytes(b"something else " * 1000)
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/tieline.db") as database:
        with pytest.raises(DatabaseUnavailable, match=r"file is not a database.*or correct TIELINE_DATABASE_URL"):
            await database.migrate()


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program has the file's write lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


async def test_a_database_that_somebody_holds_for_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.database.BUSY_SECONDS", 0)
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/tieline.db") as database:
        await database.migrate()
        with held(tmp_path / "tieline.db"):
            with pytest.raises(DatabaseUnavailable, match=r"database is locked.*: another process writes for long"):
                async with database.write():
                    pytest.fail("it was not locked")
            async with database.read() as connection:
                assert await connection.scalar(select(accounts.c.id)) is None

"""Alembic, run from inside: the same schema on both databases, brought up to date at every start."""

import asyncio
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.errors import DatabaseTaken, SchemaTooNew
from storage.schema import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_ID = 0x7469656C696E65
"""Names PostgreSQL's advisory lock; `tieline` in ASCII."""


_ONE_AT_A_TIME = asyncio.Lock()
"""Alembic keeps the migration under way in module globals: two at once would write into each other's database."""


async def upgrade(engine: AsyncEngine) -> None:
    """Upgrade to the newest revision in one transaction, one process at a time; without any lock if it is there."""
    async with engine.connect() as connection:
        if await connection.run_sync(_current_revision) == newest_revision():
            return
    async with engine.connect() as connection:
        await connection.execution_options(tieline_write=True)
        async with connection.begin():
            if engine.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
            async with _ONE_AT_A_TIME:
                await connection.run_sync(_upgrade)


def newest_revision() -> str:
    """Revisions are numbered, and their files named after them."""
    return max(file.stem.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _upgrade(connection: Connection) -> None:
    current = _current_revision(connection)
    if current == newest_revision():
        return  # before Alembic is loaded: that takes longer than most commands
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise SchemaTooNew(f"the database was migrated by a newer Tieline (revision {current}): start that version")
    if current is None and (taken := metadata.tables.keys() & set(inspect(connection).get_table_names())):
        raise DatabaseTaken(
            f"the database holds tables of something else, as {min(taken)}: give Tieline a database of its own"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision

"""Alembic, run from inside: the same schema on both databases, brought up to date at every start."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
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
    """Upgrade to the newest revision in one transaction, one process at a time."""
    async with engine.connect() as connection:
        await connection.execution_options(tieline_write=True)
        async with connection.begin():
            if engine.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": LOCK_ID})
            async with _ONE_AT_A_TIME:
                await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise SchemaTooNew(f"the database was migrated by a newer Tieline (revision {current}): start that version")
    if current is None and (taken := metadata.tables.keys() & set(inspect(connection).get_table_names())):
        raise DatabaseTaken(
            f"the database holds tables of something else, as {min(taken)}: give Tieline a database of its own"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

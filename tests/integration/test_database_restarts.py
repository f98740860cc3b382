"""A PostgreSQL server that was restarted: nobody is told of connections that are long dead."""

import asyncio
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from tests.fixtures.waiting import until


async def driver_of(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def test_connections_that_the_server_has_ended_are_replaced_before_they_are_used(postgresql_url: str) -> None:
    database, other = Database(postgresql_url), Database(postgresql_url)
    async with database.read() as first, database.read() as second:
        drivers = [await driver_of(first), await driver_of(second)]
    async with other.write() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
    await until(lambda: all(driver.is_closed() for driver in drivers))

    async def one() -> int:
        async with database.read() as connection:
            return int((await connection.execute(text("SELECT 1"))).scalar_one())

    assert await asyncio.gather(*(one() for _ in range(4))) == [1, 1, 1, 1]
    await asyncio.gather(database.dispose(), other.dispose())

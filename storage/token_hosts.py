"""Whom the sweep leaves alone: hosts of token endpoints that fail again and again, and OAuth clients that are refused.

What a host asks for itself (Retry-After) binds everybody and stands in `storage.tokens`. What is concluded here binds
the sweep only: a run that needs a token now may still ask for it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Table, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.schema import token_clients, token_hosts, tokens


@dataclass(frozen=True, slots=True)
class Closed:
    """What is left alone right now, by host and by client."""

    hosts: frozenset[str]
    clients: frozenset[str]


@dataclass(frozen=True, slots=True)
class StoppedClient:
    """An OAuth client that was refused; times by the database's clock."""

    host: str
    reason: str
    accounts: int


@dataclass(frozen=True, slots=True)
class ClosedHost:
    """A host that is left alone for so many seconds more."""

    host: str
    reason: str
    seconds: float


async def closed(connection: AsyncConnection) -> Closed:
    """Hosts and clients that the sweep does not ask now."""
    now = db_now()
    until = or_(token_hosts.c.blocked_until > now, token_hosts.c.shut_until > now)
    hosts = await connection.scalars(select(token_hosts.c.host).where(until))
    clients = await connection.scalars(select(token_clients.c.client).where(token_clients.c.stopped_until > now))
    return Closed(frozenset(hosts), frozenset(clients))


async def failures_of(connection: AsyncConnection, hosts: Collection[str]) -> Mapping[str, int]:
    """Of those of these hosts that failed lately: how often in a row."""
    query = select(token_hosts.c.host, token_hosts.c.failures)
    rows = await connection.execute(query.where(token_hosts.c.host.in_(hosts), token_hosts.c.failures > 0))
    return {row.host: row.failures for row in rows}


async def clients_refused(connection: AsyncConnection, clients: Collection[str]) -> frozenset[str]:
    """Those of these clients that were refused when they were last asked for, however long ago."""
    query = select(token_clients.c.client).where(token_clients.c.client.in_(clients))
    return frozenset(await connection.scalars(query))


async def host_failed(connection: AsyncConnection, host: str) -> int:
    """Count a failure; returns how many there were in a row."""
    first = {"host": host, "blocked_until": 0.0, "reason": "", "failures": 1, "shut_until": 0.0}
    statement = _insert(connection, token_hosts).values(**first)
    result = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[token_hosts.c.host], set_={"failures": token_hosts.c.failures + 1}
        ).returning(token_hosts.c.failures)
    )
    return int(result.scalar_one())


async def shut_host(connection: AsyncConnection, host: str, seconds: float) -> None:
    """Have the sweep leave a host alone for a while."""
    await connection.execute(
        update(token_hosts).where(token_hosts.c.host == host).values(shut_until=db_now() + literal(seconds))
    )


async def host_answered(connection: AsyncConnection, host: str) -> None:
    """Forget its failures."""
    await connection.execute(update(token_hosts).where(token_hosts.c.host == host).values(failures=0, shut_until=0.0))


async def stop_client(connection: AsyncConnection, client: str, host: str, reason: str, seconds: float) -> bool:
    """Have the sweep leave a client's accounts alone for a while; whether it was not known to be refused before."""
    until = db_now() + literal(seconds)
    row = {"client": client, "host": host, "stopped_until": until, "reason": reason[:64]}
    added = await connection.execute(
        _insert(connection, token_clients).values(row).on_conflict_do_nothing().returning(token_clients.c.client)
    )
    if added.first() is not None:
        return True
    await connection.execute(
        update(token_clients).where(token_clients.c.client == client).values(stopped_until=until, reason=reason[:64])
    )
    return False


async def client_accepted(connection: AsyncConnection, client: str) -> None:
    """It was refused once and is not any more."""
    await connection.execute(delete(token_clients).where(token_clients.c.client == client))


async def stopped_clients(connection: AsyncConnection) -> list[StoppedClient]:
    """All refused clients, each with how many accounts wait for it."""
    query = (
        select(token_clients.c.host, token_clients.c.reason, func.count(tokens.c.account_id))
        .join(tokens, tokens.c.token_client == token_clients.c.client, isouter=True)
        .group_by(token_clients.c.client, token_clients.c.host, token_clients.c.reason)
        .order_by(token_clients.c.host)
    )
    return [StoppedClient(*row) for row in (await connection.execute(query)).all()]


async def closed_hosts(connection: AsyncConnection) -> list[ClosedHost]:
    """The hosts that are left alone now, and for how long."""
    asked, shut = token_hosts.c.blocked_until, token_hosts.c.shut_until
    until = case((asked > shut, asked), else_=shut)
    query = select(token_hosts.c.host, token_hosts.c.reason, until - db_now()).where(until > db_now())
    return [ClosedHost(*row) for row in (await connection.execute(query.order_by(token_hosts.c.host))).all()]


def _insert(connection: AsyncConnection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)

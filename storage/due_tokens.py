"""Which tokens are due, and of which refresh tokens somebody should be warned: by index, in pages.

Nothing is claimed here. A page is a hint where to look; who may redeem, `storage.tokens.claim_token` decides alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, case, delete, func, literal, literal_column, null, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.schema import accounts, token_clients, tokens, waiters

DAY = 86400.0
PAGE = 500

_ACTIVE = tokens.c.state == literal_column("'active'")
# A bound value would hide from the planner that the condition is the partial index's own.
_NOW = select(db_now()).scalar_subquery()
# As a subquery the clock is read once; read for each row it could not bound the scan on PostgreSQL.


@dataclass(frozen=True, slots=True)
class DueToken:
    """A row whose token should be renewed; host and client as they were when it was last asked for."""

    account_id: str
    refresh_at: float
    host: str | None
    client: str | None


@dataclass(frozen=True, slots=True)
class DueCounts:
    """How many tokens are due, how many of them since long, and the instant of the oldest."""

    due: int
    overdue: int
    oldest: float | None
    now: float


@dataclass(frozen=True, slots=True)
class Expiring:
    """A refresh token that ends soon."""

    account_id: str
    refresh_expires_at: float


_DUE = select(tokens.c.account_id, tokens.c.refresh_at, tokens.c.token_host, tokens.c.token_client).where(_ACTIVE)


def due_query(after: DueToken | None = None, limit: int = PAGE) -> Select[str, float, str | None, str | None]:
    """The next tokens that are due, wherever, the longest due ones first."""
    query = _DUE.where(tokens.c.refresh_at <= _NOW).order_by(tokens.c.refresh_at, tokens.c.account_id).limit(limit)
    if after is not None:
        place = tuple_(literal(after.refresh_at), literal(after.account_id))
        query = query.where(tuple_(tokens.c.refresh_at, tokens.c.account_id) > place)
    return query


async def due_tokens(connection: AsyncConnection, after: DueToken | None = None, limit: int = PAGE) -> list[DueToken]:
    """One page, behind the row `after`."""
    return [_due(row) for row in (await connection.execute(due_query(after, limit))).all()]


# What follows is written so that only ix_tokens_due_at_host brings it in order: going by statistics, PostgreSQL would
# read what is due wherever, in the hope that much of it is of the host that is wanted.


def due_hosts_query(but: Collection[str], limit: int) -> Select[str, float]:
    """Hosts of which something is due, each with the instant of its oldest; `but` these, and not all of many.

    From one host's first token to the next one's, whatever the number of tokens.
    """
    first = select(tokens.c.account_id).where(_ACTIVE, tokens.c.refresh_at.is_not(None))
    first = first.order_by(tokens.c.token_host, tokens.c.refresh_at).limit(1)
    columns = tokens.c.token_host.label("host"), tokens.c.refresh_at.label("oldest")
    known = first.where(tokens.c.token_host.is_not(None)).scalar_subquery()
    hosts = select(*columns).where(tokens.c.account_id == known).cte("hosts", recursive=True)
    following = first.where(tokens.c.token_host > hosts.c.host).correlate(hosts).scalar_subquery()
    hosts = hosts.union_all(select(*columns).select_from(hosts.join(tokens, tokens.c.account_id == following)))
    return select(hosts.c.host, hosts.c.oldest).where(hosts.c.oldest <= _NOW, hosts.c.host.not_in(but)).limit(limit)


async def due_hosts(connection: AsyncConnection, but: Collection[str], limit: int) -> Sequence[tuple[float, str]]:
    """The same, the longest due ones first."""
    rows = (await connection.execute(due_hosts_query(but, limit))).all()
    return sorted((row.oldest, row.host) for row in rows)


def due_at_host_query(host: str | None, but: Collection[str], limit: int) -> Select[str, float, str | None, str | None]:
    """Of one host (None: not known yet) the longest due tokens, without those of these clients."""
    if host is None:
        query = _DUE.where(tokens.c.token_host.is_(None), tokens.c.refresh_at <= _NOW)
    else:
        until = tuple_(tokens.c.token_host, tokens.c.refresh_at) <= tuple_(literal(host), _NOW)
        query = _DUE.where(tokens.c.token_host >= host, until, tokens.c.refresh_at.is_not(None))
    if but:
        query = query.where(tokens.c.token_client.is_(None) | tokens.c.token_client.not_in(but))
    return query.order_by(tokens.c.token_host, tokens.c.refresh_at, tokens.c.account_id).limit(limit)


async def due_at_host(
    connection: AsyncConnection, host: str | None, but: Collection[str], limit: int
) -> Sequence[DueToken]:
    """The same, as a page."""
    return [_due(row) for row in (await connection.execute(due_at_host_query(host, but, limit))).all()]


async def still_due(connection: AsyncConnection, account_ids: Collection[str]) -> Sequence[DueToken]:
    """Those of these accounts whose tokens are still due: first what is in doubt, while its provider may forgive a
    second use of a refresh token, then the longest due ones."""
    query = _DUE.where(tokens.c.account_id.in_(account_ids), tokens.c.refresh_at <= _NOW)
    query = query.order_by(tokens.c.attempt_id.is_(None), tokens.c.refresh_at)
    return [_due(row) for row in (await connection.execute(query)).all()]


def abandoned_query(limit: int) -> Select[str]:
    """Accounts whose claims ran out and were not given back: whoever held them was killed, as a rule."""
    query = select(tokens.c.account_id).where(_ACTIVE, tokens.c.lease_owner.is_not(None), tokens.c.refresh_at <= _NOW)
    return query.where(tokens.c.lease_until <= _NOW).order_by(tokens.c.refresh_at).limit(limit)


async def abandoned(connection: AsyncConnection, limit: int = PAGE) -> Sequence[str]:
    """The same, the longest abandoned ones first."""
    return (await connection.scalars(abandoned_query(limit))).all()


async def count_due(connection: AsyncConnection, overdue_after: float) -> DueCounts:
    """Counts what is due; `overdue_after` in seconds."""
    late = case((tokens.c.refresh_at <= _NOW - literal(overdue_after), 1))
    query = select(func.count(), func.count(late), func.min(tokens.c.refresh_at), _NOW)
    due, overdue, oldest, now = (await connection.execute(query.where(_ACTIVE, tokens.c.refresh_at <= _NOW))).one()
    return DueCounts(due, overdue, oldest, now)


async def place_token(connection: AsyncConnection, account_id: str, host: str, client: str) -> None:
    """Note where a token is to be asked for."""
    await _change(connection, account_id, token_host=host, token_client=client)


async def postpone_token(
    connection: AsyncConnection, account_id: str, seconds: float | None, error: str | None = None
) -> None:
    """Have a due token, which cannot even be asked for, looked at again later; None: not ahead at all."""
    noted = {} if error is None else {"last_error": error}
    at = null() if seconds is None else db_now() + literal(seconds)
    await _change(connection, account_id, refresh_at=at, **noted)


async def forgive_refusals(connection: AsyncConnection, integration: str) -> None:
    """Have what was refused or failed asked for again at once: its definition was changed, perhaps corrected.

    What is in force stays so, and a claim is its holder's. Of what is dead, only that is tried for which runs wait: of
    the others, each call tries it.
    """
    of_integration = select(accounts.c.id).where(accounts.c.integration == integration)
    ended = select(accounts.c.id).where(accounts.c.state == "needs_reconnect")
    waited_for = (
        (tokens.c.state == "dead")
        & tokens.c.account_id.in_(ended)
        & tokens.c.account_id.in_(select(waiters.c.account_id))
    )
    refused = (
        tokens.c.account_id.in_(of_integration)
        & tokens.c.last_error.is_not(None)
        & ((tokens.c.state == "active") | waited_for)
        & (tokens.c.lease_until <= _NOW)
    )
    locked = select(tokens.c.account_id).where(refused).order_by(tokens.c.account_id).with_for_update()
    due = {"state": "active", "failures": 0, "last_error": None, "refused_since": None, "refresh_at": db_now()}
    forgiven = await connection.execute(
        update(tokens).where(tokens.c.account_id.in_(locked)).values(due).returning(tokens.c.token_client)
    )
    if clients := {row.token_client for row in forgiven.all()} - {None}:
        one = delete(token_clients).where(token_clients.c.client == bindparam("refused"))
        await connection.execute(one, [{"refused": client} for client in sorted(clients)])


async def _change(connection: AsyncConnection, account_id: str, **values: object) -> None:
    """Nothing that is claimed, or not due any more: then somebody else knew better."""
    await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id, tokens.c.refresh_at <= _NOW, tokens.c.lease_until <= _NOW)
        .values(**values)
    )


async def take_warnings(connection: AsyncConnection, limit: int = PAGE) -> Sequence[Expiring]:
    """The refresh tokens of which it is time to warn. Each is returned once for each of its two warnings: taking it
    moves it to the next one, a day before the end."""
    wanted = select(tokens.c.account_id).where(tokens.c.warn_at <= _NOW).order_by(tokens.c.warn_at).limit(limit)
    last_day = tokens.c.refresh_expires_at - DAY
    taken = await connection.execute(
        update(tokens)
        .where(tokens.c.account_id.in_(wanted.with_for_update(skip_locked=True)), tokens.c.warn_at <= _NOW)
        .values(warn_at=case((last_day > db_now(), last_day), else_=null()))
        .returning(tokens.c.account_id, tokens.c.state, tokens.c.refresh_expires_at)
    )
    return [Expiring(row.account_id, row.refresh_expires_at) for row in taken.all() if row.state == "active"]


def _due(row: Any) -> DueToken:
    return DueToken(row.account_id, row.refresh_at, row.token_host, row.token_client)

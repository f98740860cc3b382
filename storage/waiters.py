"""Runs that wait for an account, woken through the outbox by whatever transaction changes what they wait for."""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from definitions.refs import CredentialRef
from storage.database import db_now
from storage.outbox import WAKE, new_row, post
from storage.schema import tokens, waiters
from storage.tokens import ACTIVE as TOKEN_ACTIVE

LOOK_AGAIN = 30.0
"""Seconds between two looks at an account whose failures name no instant."""
SLACK = 86400.0
"""Seconds: Temporal's clock is another one, and a run begins to wait after it was registered, later still where the
worker that registered it was killed."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """A run at one of its steps. `ticket` tells its waits apart: a signal that comes late ends no later one."""

    ticket: str
    workflow_id: str
    ref: CredentialRef
    seconds: float
    """How long it waits at most."""


async def put_waiter(connection: AsyncConnection, waiter: Waiter, account_id: str) -> None:
    """Have a run woken; the account's token is locked by the caller, and was found dead. Twice is the same as once."""
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {
        "ticket": waiter.ticket,
        "account_id": account_id,
        "profile": waiter.ref.profile,
        "adapter": waiter.ref.adapter,
        "subject": waiter.ref.subject,
        "workflow_id": waiter.workflow_id,
        "since": db_now(),
        "until": db_now() + literal(waiter.seconds),
    }
    # A run waits at one step at a time: what it waited for before, somebody has decided about.
    before = (waiters.c.workflow_id == waiter.workflow_id) & (waiters.c.ticket != waiter.ticket)
    await connection.execute(delete(waiters).where(before))
    await connection.execute(module.insert(waiters).values(row).on_conflict_do_nothing())


async def wake_for_account(
    connection: AsyncConnection, account_id: str, because: str, notification: str | None = None
) -> int:
    """Wake the runs that wait for an account; returns how many. `notification` waits until they were."""
    return await _wake(connection, waiters.c.account_id == account_id, because, notification)


async def wake_for_profile(
    connection: AsyncConnection, profile: str, adapters: Collection[str] | None, because: str
) -> int:
    """Wake the runs whose account was found through one of these adapters of a profile, or through any: it may be bound
    to another one now."""
    which = waiters.c.profile == profile
    if adapters is not None:
        which &= waiters.c.adapter.in_(adapters)
    return await _wake(connection, which, because, None)


async def wake_for_subject(connection: AsyncConnection, profile: str, adapter: str, subject: str, because: str) -> int:
    """The same for one subject."""
    which = (waiters.c.profile == profile) & (waiters.c.adapter == adapter) & (waiters.c.subject == subject)
    return await _wake(connection, which, because, None)


async def awaited(connection: AsyncConnection) -> Sequence[str]:
    """The accounts that runs wait for, by id."""
    return (await connection.scalars(select(waiters.c.account_id).distinct())).all()


async def wanting(connection: AsyncConnection, limit: int = 20) -> Mapping[str, int]:
    """Accounts that runs wait for although they may work: new secrets, a corrected definition, a refusal whose time
    is over; each with its token's version. Not those that are being renewed, or that a provider asked to be left
    alone."""
    asked_lately = tokens.c.last_error_at > db_now() - literal(LOOK_AGAIN)
    may_be_asked = tokens.c.last_error.is_(None) | (tokens.c.refresh_at <= db_now())
    on_demand = tokens.c.refresh_at.is_(None) & ~asked_lately
    query = (
        select(tokens.c.account_id, tokens.c.version)
        .where(
            tokens.c.account_id.in_(select(waiters.c.account_id)),
            tokens.c.state == TOKEN_ACTIVE,
            tokens.c.lease_until <= db_now(),
            may_be_asked | on_demand,
        )
        .order_by(tokens.c.account_id)
        .limit(limit)
    )
    return {row.account_id: row.version for row in (await connection.execute(query)).all()}


async def forget_waiters(connection: AsyncConnection) -> int:
    """Delete those that waited as long as they may; returns how many. Their runs have ended."""
    return (await connection.execute(delete(waiters).where(waiters.c.until < db_now() - literal(SLACK)))).rowcount


async def _wake(connection: AsyncConnection, which: ColumnElement[bool], because: str, notification: str | None) -> int:
    # In one order, whoever wakes: two that wake the same never wait for each other.
    wanted = select(waiters.c.ticket).where(which).order_by(waiters.c.ticket).with_for_update()
    taken = await connection.execute(
        delete(waiters).where(waiters.c.ticket.in_(wanted)).returning(waiters.c.ticket, waiters.c.workflow_id)
    )
    rows = [
        new_row(uuid.uuid4().hex, WAKE, _content(row.workflow_id, row.ticket, because), after_wakes=notification)
        for row in taken.all()
    ]
    await post(connection, rows)
    return len(rows)


def _content(workflow_id: str, ticket: str, because: str) -> str:
    return json.dumps({"run": workflow_id, "ticket": ticket, "because": because})

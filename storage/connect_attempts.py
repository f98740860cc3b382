"""Attempts to connect an account: one row from the link that is handed out to its outcome. Times by the database."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.schema import connect_attempts as attempts

KEPT_SECONDS = 3600.0
"""After an attempt has expired, so that whoever waits for it still reads its outcome."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; what proves anything is there as a digest only."""

    id: str
    account_id: str
    redirect_uri: str
    replaces: bool
    """Whether another external account may take the place of the one that was connected before."""
    expires_at: float
    browser_hash: str | None
    issuer: str | None
    issuer_required: bool
    outcome: str | None
    told: str | None
    expired: bool


_COLUMNS = (
    attempts.c.id,
    attempts.c.account_id,
    attempts.c.redirect_uri,
    attempts.c.replaces,
    attempts.c.expires_at,
    attempts.c.browser_hash,
    attempts.c.issuer,
    attempts.c.issuer_required,
    attempts.c.outcome,
    attempts.c.told,
    (attempts.c.expires_at <= db_now()).label("expired"),
)


async def insert_attempt(
    connection: AsyncConnection,
    attempt_id: str,
    ticket_hash: str,
    account_id: str,
    redirect_uri: str,
    *,
    replaces: bool,
    seconds: float,
) -> Attempt:
    """An attempt that may be begun for so many seconds."""
    result = await connection.execute(
        insert(attempts)
        .values(
            id=attempt_id,
            ticket_hash=ticket_hash,
            account_id=account_id,
            redirect_uri=redirect_uri,
            replaces=replaces,
            issuer_required=False,
            expires_at=db_now() + literal(seconds),
        )
        .returning(*_COLUMNS)
    )
    return _attempt(result.one())


async def attempt_of_ticket(connection: AsyncConnection, ticket_hash: str) -> Attempt | None:
    """The open attempt behind a link."""
    return await _one(connection, attempts.c.ticket_hash == ticket_hash, _open())


async def read_attempt(connection: AsyncConnection, attempt_id: str) -> Attempt | None:
    """Open or not."""
    return await _one(connection, attempts.c.id == attempt_id)


async def arm_attempt(
    connection: AsyncConnection,
    attempt_id: str,
    *,
    state_hash: str,
    browser_hash: str,
    issuer: str | None,
    issuer_required: bool,
) -> bool:
    """Expect this state from this browser, and no earlier one any more; False when the attempt is over."""
    result = await connection.execute(
        update(attempts)
        .where(attempts.c.id == attempt_id, _open())
        .values(state_hash=state_hash, browser_hash=browser_hash, issuer=issuer, issuer_required=issuer_required)
    )
    return result.rowcount == 1


async def take_attempt(connection: AsyncConnection, state_hash: str, used_hash: str) -> Attempt | None:
    """The open attempt that expects this state, which is used up by the same statement: of two, one gets it.

    `used_hash` takes its place, so that a second answer is known for what it is.
    """
    result = await connection.execute(
        update(attempts)
        .where(attempts.c.state_hash == state_hash, _open())
        .values(state_hash=used_hash)
        .returning(*_COLUMNS)
    )
    row = result.first()
    return None if row is None else _attempt(row)


async def attempt_that_used(connection: AsyncConnection, used_hash: str) -> str | None:
    """The id of the attempt whose state this was."""
    found: str | None = await connection.scalar(select(attempts.c.id).where(attempts.c.state_hash == used_hash))
    return found


async def note_answer(connection: AsyncConnection, attempt_id: str, told: str, seconds: float) -> None:
    """Its person came back; what is told should nothing more be heard of it within so many seconds."""
    end = db_now() + literal(seconds)
    sooner = case((attempts.c.expires_at > end, end), else_=attempts.c.expires_at)
    await connection.execute(update(attempts).where(attempts.c.id == attempt_id).values(told=told, expires_at=sooner))


async def close_attempt(connection: AsyncConnection, attempt_id: str, outcome: str, told: str) -> None:
    """Note how it ended."""
    await connection.execute(
        update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.outcome.is_(None))
        .values(outcome=outcome, told=told)
    )


async def forget_attempts(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Delete what has long expired; returns the accounts and ids, whose vault records are the caller's."""
    result = await connection.execute(
        delete(attempts)
        .where(attempts.c.expires_at < db_now() - literal(KEPT_SECONDS))
        .returning(attempts.c.account_id, attempts.c.id)
    )
    return [(row.account_id, row.id) for row in result.all()]


def _open() -> Any:
    return (attempts.c.expires_at > db_now()) & attempts.c.outcome.is_(None)


async def _one(connection: AsyncConnection, *where: Any) -> Attempt | None:
    row = (await connection.execute(select(*_COLUMNS).where(*where))).first()
    return None if row is None else _attempt(row)


def _attempt(row: Any) -> Attempt:
    values = row._asdict()
    return Attempt(**{**values, "expired": bool(values["expired"])})

"""What must be sent because a transaction was committed, and is sent at least once, whatever dies in between."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.schema import outbox

WAKE, NOTIFICATION = "wake", "notification"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One row. `woken`: how many runs the signals reached that a notification waited for."""

    id: str
    content: str
    woken: int
    told: frozenset[str]
    failures: int


def new_row(parcel_id: str, kind: str, content: str, *, after_wakes: str | None = None) -> dict[str, Any]:
    """The values of a row that is due at once."""
    row = {"id": parcel_id, "kind": kind, "content": content, "after_wakes": after_wakes}
    return row | {"woken": 0, "told": "", "due_at": 0.0, "failures": 0}


async def post(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Have something sent once the transaction is committed."""
    if rows:
        await connection.execute(insert(outbox), rows)


async def something_due(connection: AsyncConnection, kind: str) -> bool:
    """Whether taking is worth a transaction that writes."""
    return bool((await connection.execute(select(_due(kind).exists()))).scalar_one())


async def take(connection: AsyncConnection, kind: str, *, seconds: float, limit: int) -> Sequence[Parcel]:
    """The longest due ones, which nobody else takes for so many seconds."""
    wanted = _due(kind).order_by(outbox.c.due_at, outbox.c.id).limit(limit).with_for_update(skip_locked=True)
    taken = await connection.execute(
        update(outbox)
        .where(outbox.c.id.in_(wanted))
        .values(due_at=db_now() + literal(seconds))
        .returning(outbox.c.id, outbox.c.content, outbox.c.woken, outbox.c.told, outbox.c.failures)
    )
    return [Parcel(row.id, row.content, row.woken, frozenset(row.told.split()), row.failures) for row in taken.all()]


async def sent(connection: AsyncConnection, parcels: Collection[str], *, counted: bool = True) -> None:
    """Delete what was sent; of signals, the notifications that wait for them count those that reached a run."""
    gone = await connection.execute(delete(outbox).where(outbox.c.id.in_(parcels)).returning(outbox.c.after_wakes))
    counts = Counter(row.after_wakes for row in gone.all() if row.after_wakes and counted)
    for notification, count in sorted(counts.items()):
        await connection.execute(
            update(outbox).where(outbox.c.id == notification).values(woken=outbox.c.woken + literal(count))
        )


async def put_back(
    connection: AsyncConnection, parcel_id: str, seconds: float, told: Collection[str] = frozenset()
) -> None:
    """Have something that could not be sent tried again later; `told` have had theirs."""
    await connection.execute(
        update(outbox)
        .where(outbox.c.id == parcel_id)
        .values(due_at=db_now() + literal(seconds), failures=outbox.c.failures + 1, told=" ".join(sorted(told)))
    )


def _due(kind: str) -> Any:
    """A notification is due when the signals that it waits for were sent."""
    signals = outbox.alias("signals")
    waits = exists().where(signals.c.after_wakes == outbox.c.id)
    due = select(outbox.c.id).where(outbox.c.kind == kind, outbox.c.due_at <= db_now())
    return due.where(~waits) if kind == NOTIFICATION else due

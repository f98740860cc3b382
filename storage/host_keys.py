"""What people confirmed of the keys of SFTP servers, for each account. Public, so in clear."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.schema import host_keys


@dataclass(frozen=True, slots=True)
class TrustedLine:
    """A public key, or a line of a known_hosts file. `added_at` in epoch seconds by the database's clock."""

    line: str
    added_at: float
    added_by: str
    why: str


async def trusted_lines(connection: AsyncConnection, account_id: str) -> Sequence[TrustedLine]:
    """In the order in which they were given."""
    query = select(host_keys).where(host_keys.c.account_id == account_id).order_by(host_keys.c.position)
    rows = (await connection.execute(query)).all()
    return [TrustedLine(row.line, row.added_at, row.added_by, row.why) for row in rows]


async def replace_lines(
    connection: AsyncConnection,
    account_id: str,
    kept: Sequence[TrustedLine],
    added: Sequence[str],
    *,
    who: str,
    why: str,
) -> None:
    """Trust these lines and no others; the account is locked by the caller."""
    await connection.execute(delete(host_keys).where(host_keys.c.account_id == account_id))
    rows = [{"line": each.line, "added_at": each.added_at, "added_by": each.added_by, "why": each.why} for each in kept]
    for number, row in enumerate(rows):
        await connection.execute(insert(host_keys).values(account_id=account_id, position=number, **row))
    for number, line in enumerate(added, len(rows)):
        await connection.execute(
            insert(host_keys).values(
                account_id=account_id, position=number, line=line, added_at=db_now(), added_by=who, why=why
            )
        )

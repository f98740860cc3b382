"""Connected accounts as rows; their secrets are vault records.

Who changes several things locks them in one order, so that no two wait for each other: definitions, bindings of
subjects, the row of the token, the row of its refused client, the row of the account, runs that wait, the records of
the vault. Of several tokens, all are locked before anything behind them, in the order of their accounts' ids.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.errors import AlreadyExists, NotFound
from storage.schema import accounts, subject_bindings, token_clients, tokens
from storage.tokens import DEAD

ACTIVE = "active"
NEEDS_RECONNECT = "needs_reconnect"
DISCONNECTED = "disconnected"
NOT_CONNECTED = "not_connected"


@dataclass(frozen=True, slots=True)
class Account:
    """A connected account without its secrets. Times in epoch seconds by the database's clock."""

    id: str
    name: str
    integration: str
    parameters: Mapping[str, str]
    state: str
    cause: str | None
    version: int
    created_at: float
    updated_at: float
    told_cause: str | None = None
    """Of what people were told that it is dead; None: that it is well, or nothing."""


_COLUMNS = select(accounts)
_BY_NAME = _COLUMNS.where(accounts.c.name == bindparam("wanted"))
_BY_ID = _COLUMNS.where(accounts.c.id == bindparam("wanted"))


async def account_named(connection: AsyncConnection, name: str) -> Account:
    """Raises NotFound."""
    row = (await connection.execute(_BY_NAME, {"wanted": name})).first()
    if row is None:
        raise NotFound("account", name, (await connection.scalars(select(accounts.c.name))).all())
    return _account(row)


async def account_by_id(connection: AsyncConnection, account_id: str) -> Account | None:
    row = (await connection.execute(_BY_ID, {"wanted": account_id})).first()
    return None if row is None else _account(row)


async def all_accounts(connection: AsyncConnection) -> Sequence[Account]:
    """Sorted by name."""
    return [_account(row) for row in (await connection.execute(_COLUMNS.order_by(accounts.c.name))).all()]


async def accounts_of(connection: AsyncConnection, integration: str) -> Sequence[Account]:
    """The accounts of one integration, sorted by name."""
    query = _COLUMNS.where(accounts.c.integration == integration).order_by(accounts.c.name)
    return [_account(row) for row in (await connection.execute(query)).all()]


async def insert_account(
    connection: AsyncConnection,
    account_id: str,
    name: str,
    integration: str,
    parameters: Mapping[str, str],
    *,
    connected: bool = True,
) -> None:
    """A new account at version 1, with an empty row for its token. Raises AlreadyExists.

    Not `connected`: there is no token to be had until a person consents.
    """
    account = insert(accounts).values(
        id=account_id,
        name=name,
        integration=integration,
        parameters=json.dumps(dict(parameters)),
        state=ACTIVE if connected else NOT_CONNECTED,
        version=1,
        created_at=db_now(),
        updated_at=db_now(),
    )
    try:
        await connection.execute(account)
    except IntegrityError:
        raise AlreadyExists("account", name) from None
    standing = {"state": ACTIVE} if connected else {"state": DEAD, "last_error": f"permanent_grant:{NOT_CONNECTED}"}
    await connection.execute(
        insert(tokens).values(account_id=account_id, version=0, fence=0, lease_until=0.0, failures=0, **standing)
    )


async def bump_account(connection: AsyncConnection, account_id: str, *, revives: bool = True) -> int:
    """Count a change of secrets or parameters; returns the account's new version.

    Unless only a person's consent can bring its token, the account is active again, and its next token is due now.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    corrected: dict[str, Any] = {"failures": 0, "last_error": None, "refused_since": None}
    if revives:
        # The token was had with the old secrets: it is not given out again, and its successor is asked for at once.
        # Where there never was one nothing is due: it is asked for when a call needs it, or there are none at all.
        due = case((tokens.c.version > 0, 0.0), else_=None)
        corrected |= {"state": ACTIVE, "access_expires_at": 0.0, "refresh_at": due}
    standing = tokens.c.account_id == account_id
    if not revives:
        # What was refused may be accepted now; what is in force stays so, and what is dead stays dead.
        corrected |= {"refresh_at": db_now()}
        standing &= (tokens.c.state == ACTIVE) & tokens.c.last_error.is_not(None)
    await connection.execute(update(tokens).where(standing).values(corrected))
    # Perhaps it is the refused client's secret that was corrected.
    of_account = select(tokens.c.token_client).where(tokens.c.account_id == account_id).scalar_subquery()
    await connection.execute(delete(token_clients).where(token_clients.c.client == of_account))
    revived = {"state": ACTIVE, "cause": None} if revives else {}
    result = await connection.execute(
        update(accounts)
        .where(accounts.c.id == account_id)
        .values(version=accounts.c.version + 1, updated_at=db_now(), **revived)
        .returning(accounts.c.version)
    )
    version: int | None = result.scalar()
    if version is None:
        raise NotFound("account", account_id)
    return version


async def set_account_state(connection: AsyncConnection, account_id: str, state: str, cause: str | None) -> None:
    """Say whether an account can be used, and why not."""
    await connection.execute(
        update(accounts).where(accounts.c.id == account_id).values(state=state, cause=cause, updated_at=db_now())
    )


async def set_told_cause(connection: AsyncConnection, account_id: str, cause: str | None) -> bool:
    """Note what people are told of an account; False when they were told that before."""
    result = await connection.execute(
        update(accounts)
        .where(accounts.c.id == account_id, accounts.c.told_cause.is_distinct_from(cause))
        .values(told_cause=cause)
    )
    return result.rowcount == 1


async def lock_account(connection: AsyncConnection, account_id: str) -> bool:
    """Let nobody else change the account or bind a subject to it until the transaction ends; False if it is gone."""
    for query in (
        select(subject_bindings.c.subject).where(subject_bindings.c.account_id == account_id),
        select(tokens.c.account_id).where(tokens.c.account_id == account_id),
        select(accounts.c.id).where(accounts.c.id == account_id),
    ):
        found = (await connection.execute(query.with_for_update())).first()
    return found is not None


async def delete_account(connection: AsyncConnection, account_id: str) -> None:
    """Delete a locked account, its token's row and its subjects' bindings; the vault's records are the caller's."""
    await connection.execute(delete(subject_bindings).where(subject_bindings.c.account_id == account_id))
    await connection.execute(delete(accounts).where(accounts.c.id == account_id))


def _account(row: Any) -> Account:
    return Account(
        row.id,
        row.name,
        row.integration,
        json.loads(row.parameters),
        row.state,
        row.cause,
        row.version,
        row.created_at,
        row.updated_at,
        row.told_cause,
    )

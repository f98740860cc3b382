"""Tokens for the HTTP API as rows: who they are and a hash, never the token itself. Times in epoch seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.errors import AlreadyExists, NotFound
from storage.schema import api_tokens

USE_NOTED_EVERY = 60.0
"""Seconds: a busy token must not cost a write for each request."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token without its secret. `allow` are the networks it may be used from; none means any."""

    id: str
    name: str
    scopes: tuple[str, ...]
    allow: tuple[str, ...]
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    revoked_at: float | None


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """What a presented token is judged by; `now` is the database's clock, `use_is_old` says that it should be noted."""

    token: ApiToken
    hash: str
    now: float

    @property
    def use_is_old(self) -> bool:
        last = self.token.last_used_at
        return last is None or self.now - last >= USE_NOTED_EVERY


_ONE = select(api_tokens, db_now().label("now")).where(api_tokens.c.id == bindparam("wanted"))
_ANY = select(exists(select(api_tokens.c.id)))


async def kept_token(connection: AsyncConnection, token_id: str) -> Kept | None:
    """The token of this id, whatever has become of it."""
    row = (await connection.execute(_ONE, {"wanted": token_id})).first()
    return None if row is None else Kept(_token(row), row.hash, row.now)


async def any_token(connection: AsyncConnection) -> bool:
    """Whether there is or was one."""
    return bool(await connection.scalar(_ANY))


async def all_tokens(connection: AsyncConnection) -> Sequence[ApiToken]:
    """Those in use, then the revoked ones; by name."""
    query = select(api_tokens).order_by(api_tokens.c.revoked_at.is_not(None), api_tokens.c.name, api_tokens.c.id)
    return [_token(row) for row in (await connection.execute(query)).all()]


async def insert_token(
    connection: AsyncConnection,
    token_id: str,
    name: str,
    hashed: str,
    scopes: Sequence[str],
    allow: Sequence[str],
    lifetime: float | None,
) -> ApiToken:
    """A new token, good for `lifetime` seconds. Raises AlreadyExists: one of this name is in use."""
    values = {
        "id": token_id,
        "name": name,
        "hash": hashed,
        "scopes": " ".join(scopes),
        "allow": " ".join(allow),
        "created_at": db_now(),
        "expires_at": None if lifetime is None else db_now() + lifetime,
    }
    try:
        row = (await connection.execute(insert(api_tokens).values(values).returning(api_tokens))).one()
    except IntegrityError:
        raise AlreadyExists("API token", name) from None
    return _token(row)


async def note_use(connection: AsyncConnection, token_id: str) -> None:
    """Remember that a token was used, unless another process just did."""
    last = api_tokens.c.last_used_at
    old = or_(last.is_(None), last < db_now() - USE_NOTED_EVERY)
    await connection.execute(update(api_tokens).where(api_tokens.c.id == token_id, old).values(last_used_at=db_now()))


async def revoke_token(connection: AsyncConnection, name: str) -> ApiToken:
    """End the token of this name at once. Raises NotFound."""
    of_name = (api_tokens.c.name == name, api_tokens.c.revoked_at.is_(None))
    statement = update(api_tokens).where(*of_name).values(revoked_at=db_now()).returning(api_tokens)
    row = (await connection.execute(statement)).first()
    if row is None:
        in_use = select(api_tokens.c.name).where(api_tokens.c.revoked_at.is_(None))
        raise NotFound("API token", name, (await connection.scalars(in_use)).all())
    return _token(row)


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        scopes=tuple(row.scopes.split()),
        allow=tuple(row.allow.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )

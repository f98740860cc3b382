"""The token state of each account: who may redeem, what was spent, what is in force. Times by the database's clock.

Every function works in the caller's transaction, so that a state and the vault's record of it change together.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, case, false, func, literal, null, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import db_now
from storage.schema import accounts, token_hosts, tokens

ACTIVE = "active"
DEAD = "dead"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row, and what the database's clock said when it was read. `version` 0 means that there was never a token."""

    account_id: str
    state: str
    version: int
    fence: int
    lease_owner: str | None
    lease_until: float
    refresh_at: float | None
    issued_at: float | None
    access_expires_at: float | None
    refresh_expires_at: float | None
    attempt_id: str | None
    attempt_started_at: float | None
    attempt_fingerprint: str | None
    failures: int
    last_error: str | None
    last_error_at: float | None
    token_host: str | None
    token_client: str | None
    warn_at: float | None
    refused_since: float | None
    """Since when the provider has refused with words that nobody knows, and with nothing else."""
    now: float

    @property
    def in_doubt(self) -> bool:
        """An attempt was begun and nothing is known of its end."""
        return self.attempt_id is not None and self.lease_until <= self.now


_READ = select(tokens, db_now().label("now")).where(tokens.c.account_id == bindparam("wanted"))


async def read_token(connection: AsyncConnection, account_id: str) -> TokenRow | None:
    """The state of an account's token."""
    row = (await connection.execute(_READ, {"wanted": account_id})).first()
    return None if row is None else TokenRow(*row)


async def lock_token(connection: AsyncConnection, account_id: str) -> TokenRow | None:
    """The same, unchanged by others until the transaction ends."""
    row = (await connection.execute(_READ.with_for_update(), {"wanted": account_id})).first()
    return None if row is None else TokenRow(*row)


async def lock_tokens_of(connection: AsyncConnection, integration: str) -> None:
    """All tokens of an integration, before anything that several of them share."""
    of_integration = select(accounts.c.id).where(accounts.c.integration == integration)
    which = tokens.c.account_id.in_(of_integration)
    await connection.execute(select(tokens.c.account_id).where(which).order_by(tokens.c.account_id).with_for_update())


async def claim_token(
    connection: AsyncConnection,
    account_id: str,
    *,
    seen_version: int,
    owner: str,
    lease: float,
    attempt_id: str,
    fingerprint: str | None,
    host: str,
    client: str,
) -> int | None:
    """Win the right to redeem, and write down the intent; returns the fence, or None if somebody else has it.

    One statement. It moves `refresh_at` too: a claimed row is out of the way of whoever looks for due ones.
    """
    until = db_now() + literal(lease)
    result = await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id, tokens.c.version == seen_version, tokens.c.lease_until <= db_now())
        .values(
            fence=tokens.c.fence + 1,
            lease_owner=owner,
            lease_until=until,
            refresh_at=until,
            attempt_id=attempt_id,
            attempt_started_at=db_now(),
            attempt_fingerprint=fingerprint,
            token_host=host,
            token_client=client,
        )
        .returning(tokens.c.fence)
    )
    fence: int | None = result.scalar()
    return fence


async def prolong_lease(connection: AsyncConnection, account_id: str, owner: str, fence: int, lease: float) -> bool:
    """Hold a claim of one's own for so many seconds from now; False when it is held no longer."""
    until = db_now() + literal(lease)
    result = await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id, tokens.c.lease_owner == owner, tokens.c.fence == fence)
        .values(lease_until=until, refresh_at=until)
    )
    return result.rowcount == 1


async def swap_token(
    connection: AsyncConnection,
    account_id: str,
    fence: int,
    *,
    issued_at: float,
    access_expires_at: float | None,
    refresh_expires_at: float | None,
    refresh_at: float | None,
    warn_at: float | None,
) -> int | None:
    """Put a new token in force if the fence still holds; returns its version, and ends the lease."""
    result = await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id, tokens.c.fence == fence)
        .values(
            state=ACTIVE,
            version=tokens.c.version + 1,
            issued_at=issued_at,
            access_expires_at=access_expires_at,
            refresh_expires_at=refresh_expires_at,
            refresh_at=refresh_at,
            warn_at=warn_at,
            **_NO_ATTEMPT,
            failures=0,
            last_error=None,
            last_error_at=None,
            refused_since=None,
        )
        .returning(tokens.c.version)
    )
    version: int | None = result.scalar()
    return version


async def revive_token(connection: AsyncConnection, account_id: str) -> None:
    """The grant is dead no longer, as far as anybody knows: it is asked for with something else."""
    await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id)
        .values(state=ACTIVE, last_error=None, last_error_at=None, refused_since=None)
    )


async def release_token(connection: AsyncConnection, account_id: str, owner: str, fence: int) -> bool:
    """End a lease of one's own, and the attempt with it; the token stays as it is."""
    result = await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id, tokens.c.lease_owner == owner, tokens.c.fence == fence)
        .values(**_NO_ATTEMPT)
    )
    return result.rowcount == 1


async def record_failure(
    connection: AsyncConnection,
    account_id: str,
    fence: int,
    *,
    error: str,
    again_in: float | None,
    dead: bool = False,
    in_doubt: bool = False,
    refused: bool = False,
) -> bool:
    """Note a failed attempt and end its lease. The token stays as it is, and is due again `again_in` seconds later;
    None: on demand only.

    `in_doubt` keeps the attempt: whoever claims next knows that the provider may have performed it. `refused`: with
    words that nobody knows; while these follow one another, `failures` counts them alone.
    """
    begins = tokens.c.refused_since.is_(None) if refused else false()
    result = await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id, tokens.c.fence == fence)
        .values(
            **(_NO_LEASE if in_doubt else _NO_ATTEMPT),
            state=DEAD if dead else tokens.c.state,
            refresh_at=null() if again_in is None else db_now() + literal(again_in),
            failures=case((begins, 1), else_=tokens.c.failures + 1),
            last_error=error,
            last_error_at=db_now(),
            refused_since=func.coalesce(tokens.c.refused_since, db_now()) if refused else None,
        )
    )
    return result.rowcount == 1


async def return_token(connection: AsyncConnection, account_id: str, fence: int, before: TokenRow) -> bool:
    """End a lease as if it had not been taken: what an earlier attempt left in doubt is in doubt again."""
    result = await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id, tokens.c.fence == fence)
        .values(
            **_NO_LEASE,
            refresh_at=before.refresh_at,
            token_host=before.token_host,
            token_client=before.token_client,
            attempt_id=before.attempt_id,
            attempt_started_at=before.attempt_started_at,
            attempt_fingerprint=before.attempt_fingerprint,
        )
    )
    return result.rowcount == 1


async def end_token(connection: AsyncConnection, account_id: str, error: str) -> None:
    """There is nothing to renew this token with; it serves until it expires. The row is locked by the caller."""
    await connection.execute(
        update(tokens)
        .where(tokens.c.account_id == account_id)
        .values(state=DEAD, refresh_at=None, last_error=error, last_error_at=db_now())
    )


_NO_LEASE = {"lease_owner": None, "lease_until": 0.0}
_NO_ATTEMPT = _NO_LEASE | {"attempt_id": None, "attempt_started_at": None, "attempt_fingerprint": None}


async def block_host(connection: AsyncConnection, host: str, seconds: float, reason: str) -> None:
    """Keep every process from asking a token endpoint's host for a while; a longer block stays."""
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    until = db_now() + literal(seconds)
    statement = module.insert(token_hosts).values(host=host, blocked_until=until, reason=reason)
    changed = {"blocked_until": until, "reason": reason}
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[token_hosts.c.host], set_=changed, where=token_hosts.c.blocked_until < until
        )
    )


async def host_block(connection: AsyncConnection, host: str) -> float:
    """Seconds until a host may be asked again; 0 when it may be now."""
    query = select(token_hosts.c.blocked_until - db_now()).where(token_hosts.c.host == host)
    return max(0.0, await connection.scalar(query) or 0.0)

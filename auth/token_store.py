"""The stored side of the refresh protocol: what is read and changed, each time in one transaction.

The row (`storage.tokens`) says who may redeem and what is in force; the tokens themselves are vault records beside it.
"""

import dataclasses
import logging
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.credential import OpenAccount
from auth.refresh_plan import Standing, again_in, due_at
from auth.refusal import Refusal
from auth.token_error import ErrorClass
from auth.token_record import PendingReplies, StoredToken, fingerprint
from auth.token_reply import TokenReply
from auth.vault import UnreadableRecord, Vault
from definitions.auth.oauth2 import Grant
from storage.accounts import DISCONNECTED, NEEDS_RECONNECT, account_by_id, set_account_state
from storage.database import Database
from storage.tokens import (
    ACTIVE,
    TokenRow,
    block_host,
    claim_token,
    end_token,
    host_block,
    lock_token,
    read_token,
    record_failure,
    release_token,
    return_token,
    swap_token,
)

logger = logging.getLogger(__name__)

TABLE = "tokens"
TOKEN, PENDING, QUARANTINE = "token", "pending", "quarantine"
"""The vault's fields: in force; answers of a redemption under way; a token that came too late and has no other copy."""
CONSENT, IDENTITY = "consent", "identity"
"""Answers to a code: beside `pending`, which may hold the only heir of the token in force; and who consented."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The row, and the token if it was asked for with what is in force now."""

    row: TokenRow
    token: StoredToken | None
    basis: str = field(repr=False)

    @property
    def standing(self) -> Standing:
        """As the plan needs it."""
        row = self.row
        return Standing(
            now=row.now,
            version=row.version,
            has_token=self.token is not None and bool(self.token.token),
            issued_at=row.issued_at,
            expires_at=row.access_expires_at,
            leased_until=row.lease_until,
            alive=row.state == ACTIVE,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to redeem, and what was there when it was won."""

    fence: int
    owner: str
    seen: Seen


@dataclass(frozen=True, slots=True)
class HostBlocked:
    """The token endpoint's host wants to be left alone, for so many seconds."""

    seconds: float


class TokenStore:
    """Reads without locks; what changes something does it in the caller's transaction."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def look(self, account_id: str, basis: str) -> Seen | None:
        """What is there now; None when the account is gone. Raises UnreadableRecord."""
        async with self._database.read() as connection:
            row = await read_token(connection, account_id)
            token = await self._token(connection, account_id) if row and row.version else None
        if row is None:
            return None
        return Seen(row, token if token and token.basis == basis else None, basis)

    async def claim(
        self, seen: Seen, opened: OpenAccount, *, owner: str, lease: float, attempt: str, spends: str | None, host: str
    ) -> Claim | HostBlocked | None:
        """Win the right to redeem, unless the host is blocked, or the row or the account changed since seen (None)."""
        account_id = seen.row.account_id
        async with self._database.write() as connection:
            row = await lock_token(connection, account_id)
            if row is None or (row.version, row.fence) != (seen.row.version, seen.row.fence):
                return None
            if await _account_changed(connection, opened):
                return None
            if wait := await host_block(connection, host):
                return HostBlocked(wait)
            fence = await claim_token(
                connection,
                account_id,
                seen_version=row.version,
                owner=owner,
                lease=lease,
                attempt_id=attempt,
                fingerprint=fingerprint(spends),
            )
        return None if fence is None else Claim(fence, owner, dataclasses.replace(seen, row=row))

    async def pending(self, claim: Claim) -> PendingReplies | None:
        """The answers that an earlier holder stored and did not live to put in force."""
        async with self._database.read() as connection:
            try:
                content = await self._vault.get(connection, TABLE, claim.seen.row.account_id, PENDING)
            except UnreadableRecord:
                return None
        return PendingReplies.loads(content.decode()) if content else None

    async def keep(self, connection: AsyncConnection, claim: Claim, pending: PendingReplies) -> None:
        """Store raw answers, while the claim holds."""
        account_id = claim.seen.row.account_id
        row = await lock_token(connection, account_id)
        if row is not None and row.fence == claim.fence:
            field = CONSENT if pending.source == Grant.AUTHORIZATION_CODE else PENDING
            await self._vault.put(connection, TABLE, account_id, field, claim.fence, pending.dumps())

    async def swap(self, connection: AsyncConnection, claim: Claim, spends: str | None, reply: TokenReply) -> None:
        """Put a token in force. When the claim was lost: only if what it spent is still there, as its only heir."""
        account_id = claim.seen.row.account_id
        row = await lock_token(connection, account_id)
        if row is None:
            return
        token = StoredToken(
            reply.token, reply.refresh_token or spends, dict(reply.captured), reply.scope, claim.seen.basis
        )
        if row.fence != claim.fence:
            current = await self._token(connection, account_id)
            if spends is None or current is None or current.refresh_token != spends:
                await self._set_aside(connection, claim, token, current)
                return
        version = await swap_token(
            connection,
            account_id,
            row.fence,
            issued_at=reply.issued_at,
            access_expires_at=reply.expires_at,
            refresh_expires_at=reply.refresh_expires_at,
            refresh_at=due_at(account_id, reply.issued_at, reply.expires_at, reply.refresh_expires_at),
        )
        assert version is not None, "the row is locked at this fence"
        await self._vault.put(connection, TABLE, account_id, TOKEN, version, token.dumps())
        await self._vault.delete(connection, TABLE, account_id, PENDING)

    async def connect(self, connection: AsyncConnection, claim: Claim, reply: TokenReply, identity: str | None) -> bool:
        """Put the tokens of a person's consent in force and revive the account; False when the claim was lost."""
        account_id = claim.seen.row.account_id
        row = await lock_token(connection, account_id)
        if row is None or row.fence != claim.fence:
            return False
        planned = due_at(account_id, reply.issued_at, reply.expires_at, reply.refresh_expires_at)
        version = await swap_token(
            connection,
            account_id,
            row.fence,
            issued_at=reply.issued_at,
            access_expires_at=reply.expires_at,
            refresh_expires_at=reply.refresh_expires_at,
            refresh_at=planned if reply.refresh_token else reply.expires_at,
        )
        assert version is not None, "the row is locked at this fence"
        await set_account_state(connection, account_id, ACTIVE, None)
        token = StoredToken(reply.token, reply.refresh_token, dict(reply.captured), reply.scope, claim.seen.basis)
        if identity is not None:
            await self._vault.put(connection, TABLE, account_id, IDENTITY, version, identity.encode())
        await self._vault.put(connection, TABLE, account_id, TOKEN, version, token.dumps())
        for kept in (CONSENT, PENDING):
            await self._vault.delete(connection, TABLE, account_id, kept)
        return True

    async def withdraw(self, connection: AsyncConnection, claim: Claim) -> None:
        """Give a claim that brought no token back as if it had not been made: what was in doubt is so again."""
        account_id, before = claim.seen.row.account_id, claim.seen.row
        row = await lock_token(connection, account_id)
        if row is not None and (row.fence, row.version) == (claim.fence, before.version):
            await return_token(connection, account_id, claim.fence, before)
            await self._vault.delete(connection, TABLE, account_id, CONSENT)

    async def stop(self, connection: AsyncConnection, claim: Claim) -> None:
        """Let nobody use the account from now on."""
        account_id = claim.seen.row.account_id
        await lock_token(connection, account_id)
        await end_token(connection, account_id, f"{ErrorClass.PERMANENT_GRANT}:{DISCONNECTED}")
        await set_account_state(connection, account_id, DISCONNECTED, None)

    async def forget(self, connection: AsyncConnection, claim: Claim) -> None:
        """Delete the account's tokens; who consented stays known, so that a reconnect can be compared with it."""
        account_id = claim.seen.row.account_id
        await lock_token(connection, account_id)
        for kept in (TOKEN, PENDING, CONSENT, QUARANTINE):
            await self._vault.delete(connection, TABLE, account_id, kept)

    async def identity(self, account_id: str) -> str | None:
        """Who consented last, as `auth.external_account` tells people apart."""
        async with self._database.read() as connection:
            content = await self._vault.get(connection, TABLE, account_id, IDENTITY)
        return content.decode() if content else None

    async def end(self, seen: Seen, cause: str) -> None:
        """Note that nothing can renew this token, unless it was renewed or is being renewed after all."""
        account_id = seen.row.account_id
        async with self._database.write() as connection:
            row = await lock_token(connection, account_id)
            if (
                row is None
                or row.lease_until > row.now
                or (row.version, row.fence) != (seen.row.version, seen.row.fence)
            ):
                return
            error = f"{ErrorClass.PERMANENT_GRANT}:{cause}"
            await end_token(connection, account_id, error)
            await set_account_state(connection, account_id, NEEDS_RECONNECT, cause)

    async def fail(
        self, connection: AsyncConnection, claim: Claim, opened: OpenAccount, refusal: Refusal, host: str
    ) -> bool:
        """Note a refusal; False when the row or the account changed meanwhile, so that it says nothing any more."""
        account_id = claim.seen.row.account_id
        if refusal.host_wait is not None:
            await block_host(connection, host, refusal.host_wait, refusal.code)
        row = await lock_token(connection, account_id)
        if row is None or row.fence != claim.fence:
            return False
        moved = row.version != claim.seen.row.version or await _account_changed(connection, opened)
        if moved and refusal.class_ is not ErrorClass.TRANSIENT:
            await release_token(connection, account_id, claim.owner, claim.fence)
            await self._vault.delete(connection, TABLE, account_id, PENDING)
            return False
        dead = refusal.class_ is ErrorClass.PERMANENT_GRANT
        if dead:
            await set_account_state(connection, account_id, NEEDS_RECONNECT, refusal.code)
        await record_failure(
            connection,
            account_id,
            claim.fence,
            error=refusal.stored,
            again_in=again_in(refusal.class_, row.failures, refusal.retry_after),
            dead=dead,
            in_doubt=refusal.in_doubt,
        )
        await self._keep_what_came(connection, claim, row, refusal)
        return True

    async def _token(self, connection: AsyncConnection, account_id: str) -> StoredToken | None:
        content = await self._vault.get(connection, TABLE, account_id, TOKEN)
        return StoredToken.loads(content.decode()) if content else None

    async def _set_aside(
        self, connection: AsyncConnection, claim: Claim, token: StoredToken, current: StoredToken | None
    ) -> None:
        if token.refresh_token is None or (current and current.refresh_token == token.refresh_token):
            return
        account_id = claim.seen.row.account_id
        await self._vault.put(connection, TABLE, account_id, QUARANTINE, claim.fence, token.dumps())
        logger.error("account id %s: a token came after its lease had ended and was set aside", account_id)

    async def _keep_what_came(self, connection: AsyncConnection, claim: Claim, row: TokenRow, refusal: Refusal) -> None:
        """A refresh token that came with an error replaces the one that was spent for it."""
        if refusal.refresh_token is not None:
            current = await self._token(connection, row.account_id) or StoredToken("")
            token = dataclasses.replace(current, refresh_token=refusal.refresh_token, basis=claim.seen.basis)
            await self._vault.put(connection, TABLE, row.account_id, TOKEN, row.version, token.dumps())
        if not refusal.in_doubt:
            await self._vault.delete(connection, TABLE, row.account_id, PENDING)


async def _account_changed(connection: AsyncConnection, opened: OpenAccount) -> bool:
    """Whether somebody saved other secrets or parameters since the account was read."""
    account = await account_by_id(connection, opened.account.id)
    return account is None or account.version != opened.account.version

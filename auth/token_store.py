"""The stored side of the refresh protocol: what is read and changed, each time in one transaction.

The row (`storage.tokens`) says who may redeem and what is in force; the tokens themselves are vault records beside it.
"""

import dataclasses
import logging

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.credential import OpenAccount
from auth.errors import ClientRefused, NeedsReconnect
from auth.refresh_plan import again_in, due_at, kept_alive, on_demand_only, refused_for_good, warn_at
from auth.refusal import Refusal, credential_error, is_lasting, needs_reconnect
from auth.standing import client_refused, died, token_set_aside, well_again
from auth.token_claim import Claim, HostBlocked, Seen
from auth.token_error import ErrorClass
from auth.token_record import PendingReplies, StoredToken, fingerprint
from auth.token_reply import TokenReply
from auth.vault import UnreadableRecord, Vault
from definitions.auth import CustomTokenAuth, OAuth2Auth
from definitions.auth.oauth2 import Grant
from storage.accounts import ACTIVE as ACCOUNT_ACTIVE
from storage.accounts import DISCONNECTED, account_by_id, set_account_state
from storage.database import Database
from storage.due_tokens import place_token
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
    revive_token,
    swap_token,
)

logger = logging.getLogger(__name__)

TABLE = "tokens"
TOKEN, PENDING, QUARANTINE, REFUSED = "token", "pending", "quarantine", "refused"
"""The vault's fields: in force; answers of a redemption under way; a token that came too late and has no other copy;
the basis of what was refused for good."""
CONSENT, IDENTITY = "consent", "identity"
"""Answers to a code: beside `pending`, which may hold the only heir of the token in force; and who consented."""


def idle_limit(opened: OpenAccount) -> float | None:
    """Seconds for which the integration lets a refresh token lie idle, if it says."""
    auth = opened.integration.auth
    if not isinstance(auth, OAuth2Auth | CustomTokenAuth) or auth.keep_alive is None:
        return None
    return auth.keep_alive.total_seconds()


class TokenStore:
    """Reads without locks; what changes something does it in the caller's transaction."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def look(self, account_id: str, basis: str) -> Seen | None:
        """What is there now; None when the account is gone. Raises UnreadableRecord."""
        async with self._database.read() as connection:
            row = await read_token(connection, account_id)
            token = await self._token(connection, row) if row and row.version else None
            refused = await self._refused(connection, row) if row else None
        if row is None:
            return None
        changed = refused is not None and refused != basis
        return Seen(row, token if token and token.basis == basis else None, basis, changed)

    async def note_well(self, account_id: str) -> None:
        """Wake whoever waits for an account that works, unless it died meanwhile."""
        async with self._database.write() as connection:
            row = await lock_token(connection, account_id)
            if row is not None and row.state == ACTIVE:
                await well_again(connection, account_id, row.now)

    async def is_dead(self, connection: AsyncConnection, account_id: str, basis: str) -> bool:
        """Whether only a person can bring a token. Nobody changes that until the transaction ends."""
        row = await lock_token(connection, account_id)
        if row is None:
            return False
        changed = (await self._refused(connection, row)) not in (None, basis)
        standing = Seen(row, None, basis, changed).standing
        return not standing.alive or standing.refused_until > standing.now

    async def place(self, account_id: str, host: str, client: str) -> None:
        """Note where the token of a due account is to be asked for."""
        async with self._database.write() as connection:
            await place_token(connection, account_id, host, client)

    async def claim(
        self,
        seen: Seen,
        opened: OpenAccount,
        *,
        owner: str,
        lease: float,
        attempt: str,
        spends: str | None,
        host: str,
        client: str,
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
            if seen.changed and row.state != ACTIVE:  # the definition was corrected since
                await revive_token(connection, account_id)
                await set_account_state(connection, account_id, ACCOUNT_ACTIVE, None)
            fence = await claim_token(
                connection,
                account_id,
                seen_version=row.version,
                owner=owner,
                lease=lease,
                attempt_id=attempt,
                fingerprint=fingerprint(spends),
                host=host,
                client=client,
            )
        return None if fence is None else Claim(fence, owner, host, dataclasses.replace(seen, row=row))

    async def pending(self, claim: Claim) -> PendingReplies | None:
        """The answers that an earlier holder stored and did not live to put in force."""
        async with self._database.read() as connection:
            try:
                content = await self._vault.get(connection, TABLE, claim.seen.row.account_id, PENDING)
            except UnreadableRecord:
                return None
        return PendingReplies.loads(content.decode()) if content else None

    async def keep(self, connection: AsyncConnection, claim: Claim, pending: PendingReplies) -> bool:
        """Store raw answers, while the claim holds; False when it was lost."""
        account_id = claim.seen.row.account_id
        row = await lock_token(connection, account_id)
        if row is None or row.fence != claim.fence:
            return False
        field = CONSENT if pending.source == Grant.AUTHORIZATION_CODE else PENDING
        await self._vault.put(connection, TABLE, account_id, field, claim.fence, pending.dumps())
        return True

    async def swap(
        self, connection: AsyncConnection, claim: Claim, opened: OpenAccount, spends: str | None, reply: TokenReply
    ) -> None:
        """Put a token in force. When the claim was lost: only if what it spent is still there, as its only heir."""
        account_id = claim.seen.row.account_id
        row = await lock_token(connection, account_id)
        if row is None:
            return
        token = StoredToken(
            reply.token, reply.refresh_token or spends, dict(reply.captured), reply.scope, claim.seen.basis
        )
        if row.fence != claim.fence:
            current = await self._token(connection, row)
            if spends is None or current is None or current.refresh_token != spends:
                await self._set_aside(connection, claim, opened, token, current)
                return
        issued_at, expires_at = reply.issued_at, reply.expires_at
        refresh_ends = reply.refresh_expires_at
        if spends is not None and token.refresh_token == spends:
            refresh_ends = refresh_ends or row.refresh_expires_at  # the same one: what was said of it still holds
        keep_alive = kept_alive(idle_limit(opened), expires_at, refreshable=token.refresh_token is not None)
        version = await swap_token(
            connection,
            account_id,
            row.fence,
            issued_at=issued_at,
            access_expires_at=expires_at,
            refresh_expires_at=refresh_ends,
            refresh_at=due_at(account_id, issued_at, expires_at, refresh_ends, keep_alive),
            warn_at=warn_at(issued_at, refresh_ends),
        )
        assert version is not None, "the row is locked at this fence"
        await self._vault.put(connection, TABLE, account_id, TOKEN, version, token.dumps())
        await self._vault.delete(connection, TABLE, account_id, PENDING)
        await well_again(connection, account_id, row.now)

    async def connect(
        self, connection: AsyncConnection, claim: Claim, opened: OpenAccount, reply: TokenReply, identity: str | None
    ) -> bool:
        """Put the tokens of a person's consent in force and revive the account; False when the claim was lost."""
        account_id = claim.seen.row.account_id
        row = await lock_token(connection, account_id)
        if row is None or row.fence != claim.fence:
            return False
        refreshable = reply.refresh_token is not None
        keep_alive = kept_alive(idle_limit(opened), reply.expires_at, refreshable=refreshable)
        planned = due_at(account_id, reply.issued_at, reply.expires_at, reply.refresh_expires_at, keep_alive)
        version = await swap_token(
            connection,
            account_id,
            row.fence,
            issued_at=reply.issued_at,
            access_expires_at=reply.expires_at,
            refresh_expires_at=reply.refresh_expires_at,
            # Without a refresh token the sweep comes by when the access token ends, to say that its account is dead.
            refresh_at=planned if refreshable else reply.expires_at,
            warn_at=warn_at(reply.issued_at, reply.refresh_expires_at),
        )
        assert version is not None, "the row is locked at this fence"
        await set_account_state(connection, account_id, ACTIVE, None)
        token = StoredToken(reply.token, reply.refresh_token, dict(reply.captured), reply.scope, claim.seen.basis)
        if identity is not None:
            await self._vault.put(connection, TABLE, account_id, IDENTITY, version, identity.encode())
        await self._vault.put(connection, TABLE, account_id, TOKEN, version, token.dumps())
        for kept in (CONSENT, PENDING, REFUSED):
            await self._vault.delete(connection, TABLE, account_id, kept)
        await well_again(connection, account_id, row.now)
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
        for kept in (TOKEN, PENDING, CONSENT, QUARANTINE, REFUSED):
            await self._vault.delete(connection, TABLE, account_id, kept)

    async def identity(self, account_id: str) -> str | None:
        """Who consented last, as `auth.external_account` tells people apart."""
        async with self._database.read() as connection:
            content = await self._vault.get(connection, TABLE, account_id, IDENTITY)
        return content.decode() if content else None

    async def in_force(self, account_id: str, basis: str) -> bool:
        """Whether there is a token, and its grant is alive."""
        seen = await self.look(account_id, basis)
        return seen is not None and seen.standing.alive and seen.token is not None

    async def end(self, seen: Seen, opened: OpenAccount, cause: str) -> None:
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
            await end_token(connection, account_id, f"{ErrorClass.PERMANENT_GRANT}:{cause}")
            await died(connection, opened, cause, needs_reconnect(cause, opened), row.now)

    async def fail(
        self, connection: AsyncConnection, claim: Claim, opened: OpenAccount, refusal: Refusal, host: str
    ) -> Refusal | None:
        """Note a refusal, and return what it is held for; None when the row or the account changed meanwhile, so that
        it says nothing any more."""
        account_id = claim.seen.row.account_id
        if refusal.host_wait is not None:
            await block_host(connection, host, refusal.host_wait, refusal.code)
        row = await lock_token(connection, account_id)
        if row is None or row.fence != claim.fence:
            return None
        moved = row.version != claim.seen.row.version or await _account_changed(connection, opened)
        if moved and refusal.class_ is not ErrorClass.TRANSIENT:
            await release_token(connection, account_id, claim.owner, claim.fence)
            await self._vault.delete(connection, TABLE, account_id, PENDING)
            return None
        if refusal.unknown and refused_for_good(row.refused_since, row.failures, row.now):
            refusal = dataclasses.replace(refusal, class_=ErrorClass.PERMANENT_GRANT)
        dead, lasting = refusal.class_ is ErrorClass.PERMANENT_GRANT, is_lasting(refusal.stored)
        # What is refused for good has an instant before which nobody asks again.
        on_demand = _on_demand_only(row, opened) and not (refusal.in_doubt or lasting)
        await record_failure(
            connection,
            account_id,
            claim.fence,
            error=refusal.stored,
            again_in=None if on_demand else again_in(refusal.class_, row.failures, refusal.retry_after),
            dead=dead,
            in_doubt=refusal.in_doubt,
            refused=refusal.unknown,
        )
        told = credential_error(refusal, opened)
        if isinstance(told, NeedsReconnect):
            await died(connection, opened, refusal.code, told, row.now)
        elif isinstance(told, ClientRefused):
            await client_refused(connection, opened, row, refusal.code, told)
        if dead or lasting:
            await self._vault.put(connection, TABLE, account_id, REFUSED, claim.fence, claim.seen.basis.encode())
        await self._keep_what_came(connection, claim, row, refusal)
        return refusal

    async def _token(self, connection: AsyncConnection, row: TokenRow) -> StoredToken | None:
        content = await self._vault.get(connection, TABLE, row.account_id, TOKEN, version=row.version)
        return StoredToken.loads(content.decode()) if content else None

    async def _refused(self, connection: AsyncConnection, row: TokenRow) -> str | None:
        if row.state == ACTIVE and not is_lasting(row.last_error):
            return None
        content = await self._vault.get(connection, TABLE, row.account_id, REFUSED)
        return content.decode() if content else None

    async def _set_aside(
        self,
        connection: AsyncConnection,
        claim: Claim,
        opened: OpenAccount,
        token: StoredToken,
        current: StoredToken | None,
    ) -> None:
        if token.refresh_token is None or (current and current.refresh_token == token.refresh_token):
            return
        account_id = claim.seen.row.account_id
        await self._vault.put(connection, TABLE, account_id, QUARANTINE, claim.fence, token.dumps())
        logger.error("account id %s: a token came after its lease had ended and was set aside", account_id)
        await token_set_aside(connection, opened.account, claim.seen.row.now)

    async def _keep_what_came(self, connection: AsyncConnection, claim: Claim, row: TokenRow, refusal: Refusal) -> None:
        """A refresh token that came with an error replaces the one that was spent for it."""
        if refusal.refresh_token is not None:
            current = await self._token(connection, row) or StoredToken("")
            token = dataclasses.replace(current, refresh_token=refusal.refresh_token, basis=claim.seen.basis)
            await self._vault.put(connection, TABLE, row.account_id, TOKEN, row.version, token.dumps())
        if not refusal.in_doubt:
            await self._vault.delete(connection, TABLE, row.account_id, PENDING)


async def _account_changed(connection: AsyncConnection, opened: OpenAccount) -> bool:
    """Whether somebody saved other secrets or parameters since the account was read."""
    account = await account_by_id(connection, opened.account.id)
    return account is None or account.version != opened.account.version


def _on_demand_only(row: TokenRow, opened: OpenAccount) -> bool:
    if row.issued_at is None:
        return False
    due = due_at(row.account_id, row.issued_at, row.access_expires_at, row.refresh_expires_at, idle_limit(opened))
    return on_demand_only(row.issued_at, row.access_expires_at, due)

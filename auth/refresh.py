"""The one path to a valid token, whoever needs it: a call, a sweep, a person who presses "refresh now".

At most one process redeems for an account at a time: it holds a lease on the account's row. Everybody else waits and
reads what it stored; nobody redeems without the lease. The decisions stand in `auth.refresh_plan`, what is done under
the lease in `auth.redemption`.
"""

import asyncio
import contextlib
import dataclasses
import logging
import math
import os
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.credential import OpenAccount
from auth.discovery import FAILURE_KEPT, Discovery, DiscoveryFailed
from auth.errors import (
    CredentialError,
    NeedsReconnect,
    Unbound,
    Unreadable,
)
from auth.lease import Lease
from auth.redemption import UNBUILDABLE, Redemption
from auth.refresh_errors import blocked, changing, no_source, still_waiting, store_away, stuck, undiscovered
from auth.refresh_plan import Ahead, Step, Timing, is_due, next_step, still_valid
from auth.refusal import (
    NO_REFRESH_TOKEN,
    credential_error,
    from_stored,
    needs_reconnect,
    of_net_error,
    of_unbuildable,
)
from auth.token_claim import HostBlocked, Seen
from auth.token_sources import TokenSource, basis, client_key, token_sources
from auth.token_store import TokenStore
from auth.vault import UnreadableRecord, Vault
from net.client import GuardedClient
from net.errors import NetError
from net.targets import parse_target
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.tokens import TokenRow, read_token

logger = logging.getLogger(__name__)

REDEMPTIONS_PER_CALL = 3
"""Somebody else may be first, and a recovered answer may have expired while it lay there; then one more is needed."""


@dataclass(frozen=True, slots=True)
class TokenState:
    """A token in force. Times in epoch seconds by the database's clock, `now` being when it was read."""

    version: int
    token: str = field(repr=False)
    captured: Mapping[str, str] = field(repr=False)
    expires_at: float | None
    now: float


class Refresher:
    """Gets tokens for accounts; one for each process."""

    def __init__(self, database: Database, vault: Vault, http: GuardedClient, timing: Timing | None = None) -> None:
        self._database = database
        self._store = TokenStore(database, vault)
        self._http = http
        self._discovery = Discovery(http, FAILURE_KEPT)
        self._timing = timing or Timing()
        self._owner = f"{os.uname().nodename[:32]}:{os.getpid()}:{secrets.token_hex(6)}"
        self._redemptions: dict[str, asyncio.Task[CredentialError | None]] = {}

    async def ensure(
        self, opened: OpenAccount, rejected_version: int | None = None, *, anew: bool = False
    ) -> TokenState:
        """A valid token, renewed first if need be.

        `rejected_version` is the version that the provider's API just refused: it is not given out again, and however
        many callers bring it, it is renewed once. `anew`: a person asks, so a refused client is tried once more.

        Raises:
            CredentialError: there is none; says whether asking again can help, and who must do what.
        """
        try:
            with _readable(opened):
                return await self._ensure(opened, rejected_version, anew)
        except DatabaseUnavailable as error:
            raise store_away(opened, error) from None

    async def renew_ahead(self, opened: OpenAccount, host: str | None, client: str | None) -> Ahead:
        """Renew a token that is due, though it may still be good.

        `host` and `client` say where it was counted in; what is asked for elsewhere is only placed there.

        Raises:
            CredentialError: it could not be renewed; what is stored is as it was.
            DatabaseUnavailable: nobody knows what is due.
        """
        with _readable(opened):
            seen = await self._look(opened)
            if not is_due(seen.standing):
                return Ahead.NOT_DUE
            asking = await self._asking(opened, seen)
            if isinstance(asking, NeedsReconnect):
                logger.warning("%s", asking, extra={"account": asking.account})
                return Ahead.ENDED
            if isinstance(asking, CredentialError):
                raise asking
            at = (asking.host, client_key(opened, asking.host))
            if at != (host, client):
                await self._store.place(opened.account.id, *at)
                return Ahead.PLACED
            if error := await self._shared_redemption(opened, seen):
                raise error
            return Ahead.RENEWED

    async def note_well(self, opened: OpenAccount) -> None:
        """Wake whoever waits for an account that works."""
        await self._store.note_well(opened.account.id)

    async def is_dead(self, connection: AsyncConnection, opened: OpenAccount) -> bool:
        """Whether only a person can bring a token. Nobody changes that until the transaction ends."""
        return await self._store.is_dead(connection, opened.account.id, basis(opened))

    async def drain(self) -> None:
        """Wait until no redemption of this process is under way: before its clients are closed."""
        while self._redemptions:
            await asyncio.wait(self._redemptions.values())

    async def _ensure(self, opened: OpenAccount, rejected: int | None, anew: bool) -> TokenState:
        ends = time.monotonic() + self._timing.wait
        seen = await self._look(opened)
        entered, redemptions = seen.row.now, 0
        while (step := next_step(seen.standing, rejected, anew=anew)) is not Step.USE:
            error: CredentialError | None = None
            if step is Step.GIVE_UP:
                raise _given_up(seen, opened)
            if step is Step.REDEEM and redemptions < REDEMPTIONS_PER_CALL:
                redemptions += opened.account.id not in self._redemptions  # what others began is no try of one's own
                error = await self._shared_redemption(opened, seen)
            elif step is Step.REDEEM:
                error = changing(opened)
            elif time.monotonic() < ends:
                await self._pause(opened.account.id)
            else:
                error = still_waiting(opened, seen.row)
            seen = await self._look(opened)
            if error := error or _failed_since(entered, seen.row, opened):
                return self._make_do(seen, rejected, error)
        return _state(seen)

    def _make_do(self, seen: Seen, rejected: int | None, error: CredentialError) -> TokenState:
        """What was not renewed in time may still be good for this call."""
        if still_valid(seen.standing, rejected):
            return _state(seen)
        raise error

    async def _look(self, opened: OpenAccount) -> Seen:
        seen = await self._store.look(opened.account.id, basis(opened))
        if seen is None:
            raise Unbound(
                f"account {opened.account.name!r} was deleted",
                account=opened.account.name,
                action=f"create it again: tieline accounts create {opened.account.name} --integration KEY",
            )
        return seen

    async def _pause(self, account_id: str) -> None:
        """Until it is worth looking again: sooner when the one who redeems is in this process."""
        own = self._redemptions.get(account_id)
        if own is None:
            await asyncio.sleep(self._timing.poll)
        else:
            await asyncio.wait({own}, timeout=self._timing.poll)

    async def _shared_redemption(self, opened: OpenAccount, seen: Seen) -> CredentialError | None:
        """Redeem, or share in the redemption that this process is making for the account already.

        It runs as a task of its own, so that a caller who is cancelled does not take it along: a refresh token that is
        spent must be followed by its heir. The caller who began it is let go when that is stored.
        """
        account_id = opened.account.id
        if running := self._redemptions.get(account_id):
            return await asyncio.shield(running)
        task = asyncio.create_task(self._redeem(opened, seen), name=f"redeem {account_id}")
        self._redemptions[account_id] = task
        task.add_done_callback(lambda done: self._ended(account_id, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await outlast(task)
            raise

    def _ended(self, account_id: str, task: asyncio.Task[CredentialError | None]) -> None:
        self._redemptions.pop(account_id, None)
        if not task.cancelled():
            task.exception()  # seen, even when every caller is gone

    async def _redeem(self, opened: OpenAccount, seen: Seen) -> CredentialError | None:
        """Claim and redeem. None: look again, there is a new token or somebody else was first."""
        asking = await self._asking(opened, seen)
        if isinstance(asking, CredentialError):
            return asking
        opened, source, host = asking.opened, asking.source, asking.host
        if not await self._abandoned(seen.row):
            return None
        taken_at = time.monotonic()
        claim = await self._store.claim(
            seen,
            opened,
            owner=self._owner,
            lease=self._timing.lease,
            attempt=uuid.uuid4().hex,
            spends=source.spends,
            host=host,
            client=client_key(opened, host),
        )
        if claim is None:
            return None
        if isinstance(claim, HostBlocked):
            return blocked(opened, host, claim.seconds)
        lease = Lease(self._database, claim, self._timing, taken_at)
        redemption = Redemption(self._database, self._store, self._http, self._timing, opened, claim, lease)
        try:
            async with asyncio.timeout(self._timing.bound), lease.prolonged():
                refusal = await redemption.run()
        except TimeoutError:
            return stuck(opened)
        return credential_error(refusal, opened) if refusal else None

    async def _abandoned(self, row: TokenRow) -> bool:
        """Whether nobody lives who holds this claim, which ran out: watched for a while, not by anybody's clock."""
        if row.lease_owner is None:
            return True
        await asyncio.sleep(self._timing.watch)
        async with self._database.read() as connection:
            later = await read_token(connection, row.account_id)
        return later is not None and _claim_in(later) == _claim_in(row)

    async def _asking(self, opened: OpenAccount, seen: Seen) -> "_Asking | CredentialError":
        """What is asked first, and where, or why nothing can be."""
        try:
            opened = await self._discovery.complete(opened)
        except DiscoveryFailed as failed:
            return undiscovered(failed.refusal, opened)
        source = next(token_sources(opened, seen.token), None)
        if source is None:
            return await self._nothing_to_renew_with(opened, seen)
        try:
            return _Asking(opened, source, host_of(source))
        except UNBUILDABLE as error:
            return credential_error(of_unbuildable(error), opened)
        except NetError as error:
            return credential_error(of_net_error(error), opened)

    async def _nothing_to_renew_with(self, opened: OpenAccount, seen: Seen) -> CredentialError:
        if not opened.integration.by_consent:
            return no_source(opened)
        await self._store.end(seen, opened, NO_REFRESH_TOKEN)
        return needs_reconnect(NO_REFRESH_TOKEN, opened)


async def outlast(task: asyncio.Task[Any]) -> None:
    """Wait for a task to end, whatever else is cancelled meanwhile; it ends by `Timing.bound`."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue


@dataclass(frozen=True, slots=True)
class _Asking:
    """The first request's source and host. `opened` has the endpoints that were discovered."""

    opened: OpenAccount
    source: TokenSource
    host: str


@contextlib.contextmanager
def _readable(opened: OpenAccount) -> Iterator[None]:
    try:
        yield
    except UnreadableRecord as error:
        raise Unreadable(
            f"account {opened.account.name!r}: {error}",
            account=opened.account.name,
            action="restore the key, or save the account's secrets again: "
            f"tieline accounts set-secrets {opened.account.name}",
        ) from None


def _claim_in(row: TokenRow) -> tuple[int, int, str | None, float]:
    return row.fence, row.version, row.lease_owner, row.lease_until


def host_of(source: TokenSource) -> str:
    """The token endpoint's host. Raises UNBUILDABLE, NetError."""
    request = source.next_request(())
    assert request is not None, "a source begins with a request"
    return parse_target(request.url).authority


def _state(seen: Seen) -> TokenState:
    assert seen.token is not None, "a standing without token is never used"
    row = seen.row
    return TokenState(row.version, seen.token.token, seen.token.captured, row.access_expires_at, row.now)


def _failed_since(entered: float, row: TokenRow, opened: OpenAccount) -> CredentialError | None:
    """The failure of the redemption that this caller waited for: one attempt answers everybody who waits."""
    if row.last_error is None or row.last_error_at is None or row.last_error_at < entered:
        return None
    return credential_error(from_stored(row.last_error), opened)


def _given_up(seen: Seen, opened: OpenAccount) -> CredentialError:
    """What was refused for good, told without asking again."""
    refusal, standing = from_stored(seen.row.last_error or ""), seen.standing
    if not standing.alive:
        return needs_reconnect(refusal.code, opened)
    minutes = math.ceil((standing.refused_until - standing.now) / 60)
    detail = f"not asked again for {minutes} minutes; tieline accounts refresh {opened.account.name} asks now"
    return credential_error(dataclasses.replace(refusal, detail=detail), opened)

"""A person's consent becomes the account's grant: under the same lease, and by the same steps, as every refresh.

hold the row ─► send the code ─► store the raw answer ─► accept it, or not ─► swap (fenced) and revive the account
                      │                                      │
                      └──────────── refused ─────────────────┴─► give the row back: what was in force stays so
"""

import asyncio
import contextlib
import dataclasses
import os
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from auth.credential import OpenAccount
from auth.errors import AuthError, TokenUnavailable
from auth.lease import Lease
from auth.redemption import UNBUILDABLE, Redemption
from auth.refresh import host_of, outlast
from auth.refresh_errors import stuck
from auth.refresh_plan import Timing
from auth.refusal import Refusal, of_net_error, of_unbuildable
from auth.token_claim import Claim, HostBlocked
from auth.token_reply import TokenReply
from auth.token_sources import TokenSource, basis, client_key
from auth.token_store import TokenStore
from auth.vault import Vault
from net.client import GuardedClient
from net.errors import NetError
from storage.database import Database
from storage.errors import DatabaseUnavailable

OVERTAKEN = 10
"""Claims that somebody else's may be ahead of; after so many it is the account itself that was changed."""


class Refused(AuthError):
    """The token endpoint gave nothing for the code."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Accepted:
    """A reply that may be put in force, and who consented, as a digest."""

    reply: TokenReply
    identity: str | None


Accept = Callable[[TokenReply], Awaitable[Accepted]]


class Exchange:
    """Puts new grants in force; one for each process."""

    def __init__(self, database: Database, vault: Vault, http: GuardedClient, timing: Timing | None = None) -> None:
        self._database = database
        self._http = http
        self._timing = timing or Timing()
        self._owner = f"{os.uname().nodename[:32]}:{os.getpid()}:{secrets.token_hex(6)}"
        self._under_way: set[asyncio.Task[TokenReply]] = set()
        self.store = TokenStore(database, vault)

    async def run(self, opened: OpenAccount, source: TokenSource, accept: Accept) -> TokenReply:
        """Exchange, and put in force what `accept` lets through; a caller who is cancelled does not cut it off.

        Raises:
            Refused: nothing came of it. TokenUnavailable: somebody else held the account too long.
            Whatever `accept` raises. The account is as it was then.
        """
        task = asyncio.create_task(self._run(opened, source, accept), name=f"connect {opened.account.id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await outlast(task)
            raise

    async def drain(self) -> None:
        """Wait until nothing is under way: before the clients are closed."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _run(self, opened: OpenAccount, source: TokenSource, accept: Accept) -> TokenReply:
        try:
            host = host_of(source)
        except UNBUILDABLE as error:
            raise Refused(of_unbuildable(error)) from None
        except NetError as error:
            raise Refused(of_net_error(error)) from None
        async with self.held(opened, host) as (claim, lease), _bounded(opened, self._timing.bound):
            redemption = Redemption(self._database, self.store, self._http, self._timing, opened, claim, lease)
            outcome = await redemption.ask(source)
            if isinstance(outcome, Refusal):
                raise Refused(outcome)
            accepted = await accept(outcome)
            if not await redemption.persist(
                lambda connection: self.store.connect(connection, claim, opened, accepted.reply, accepted.identity)
            ):
                raise _overtaken(opened)
            return accepted.reply

    @contextlib.asynccontextmanager
    async def held(self, opened: OpenAccount, host: str) -> AsyncIterator[tuple[Claim, Lease]]:
        """Hold the account's row, so that no refresh is under way; it is given back unless it was swapped meanwhile."""
        claim, taken_at = await self._claim(opened, host)
        lease = Lease(self._database, claim, self._timing, taken_at)
        try:
            async with lease.prolonged():
                yield claim, lease
        finally:
            with contextlib.suppress(DatabaseUnavailable, TimeoutError):  # then the lease ends by itself
                async with asyncio.timeout(self._timing.persist), self._database.write() as connection:
                    await self.store.withdraw(connection, claim)

    async def _claim(self, opened: OpenAccount, host: str) -> tuple[Claim, float]:
        ends = time.monotonic() + self._timing.longest + self._timing.wait
        overtaken = 0
        while time.monotonic() < ends and overtaken < OVERTAKEN:
            seen = await self.store.look(opened.account.id, basis(opened))
            if seen is None:
                raise _overtaken(opened)
            seen = dataclasses.replace(seen, changed=False)  # to hold an account is not to revive it
            taken_at = time.monotonic()
            if seen.row.lease_until <= seen.row.now:
                claim = await self.store.claim(
                    seen,
                    opened,
                    owner=self._owner,
                    lease=self._timing.lease,
                    attempt=uuid.uuid4().hex,
                    spends=None,
                    host=host,
                    client=client_key(opened, host),
                )
                if isinstance(claim, HostBlocked):
                    raise _overtaken(opened, claim.seconds)
                if claim is not None:
                    return claim, taken_at
                overtaken += 1
            await asyncio.sleep(self._timing.poll)
        raise _overtaken(opened)


@contextlib.asynccontextmanager
async def _bounded(opened: OpenAccount, seconds: float) -> AsyncIterator[None]:
    """Give up what hangs, in the database for example: a process that waits for it could not end."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise stuck(opened) from None


def _overtaken(opened: OpenAccount, seconds: float | None = None) -> TokenUnavailable:
    return TokenUnavailable(
        f"account {opened.account.name!r}: it is being changed or renewed, or its token endpoint asked for a pause",
        action="try again in a minute",
        account=opened.account.name,
        retry_after=seconds,
    )

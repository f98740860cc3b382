"""What happens under one claim: ask for a token, store the answer, put it in force.

    claim ─► send ─► store the raw answer ─► read it ─► swap (fenced) ─► the lease ends
              │                                │
              └── lost ─► once more, at once   └── refused ─► note it, the lease ends; the stored token stays

The refresh token that is spent here may be the account's only one. So nothing in between may lose its heir: not a
crash (the raw answer is stored first), not a parser, not a locked database (storing is tried for a minute),
and not a slower process that wakes up late (the fence).
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.credential import OpenAccount
from auth.errors import UnbuildableRequest
from auth.lease import Lease
from auth.refresh_plan import Timing
from auth.refusal import HOST_BLOCKED, LOST_REPLY, Refusal, of_net_error, of_reply, of_unbuildable
from auth.token_claim import Claim
from auth.token_error import ErrorClass, TokenReplyError
from auth.token_record import PendingReplies, RawReply, fingerprint, kept_headers
from auth.token_reply import TokenReply
from auth.token_sources import TokenSource, token_sources
from auth.token_store import TokenStore
from definitions.templates import TemplateError
from definitions.urls import UrlError
from net.client import GuardedClient
from net.errors import NetError
from net.messages import OutboundRequest
from net.redaction import LIVE_SECRETS
from net.targets import parse_target
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.tokens import host_block

logger = logging.getLogger(__name__)

UNBUILDABLE = (UnbuildableRequest, TemplateError, UrlError, UnicodeError)
"""What a source raises when the definition or a value makes no request."""

T = TypeVar("T")


class Redemption:
    """Carries out one claim; a new one for each."""

    def __init__(
        self,
        database: Database,
        store: TokenStore,
        http: GuardedClient,
        timing: Timing,
        opened: OpenAccount,
        claim: Claim,
        lease: Lease,
    ) -> None:
        self._database = database
        self._store = store
        self._http = http
        self._timing = timing
        self._opened = opened
        self._claim = claim
        self._lease = lease
        self._won_at = time.monotonic()
        self._host = ""
        self._free_hosts = {claim.host}

    async def run(self) -> Refusal | None:
        """Redeem and persist. None: there is a new token, or somebody else changed the row; look again.

        Raises:
            DatabaseUnavailable: storing was tried as long as a claim may last.
        """
        outcome: TokenReply | Refusal | None = None
        self._watch_for_what_is_stored()
        for source in token_sources(self._opened, self._claim.seen.token):
            outcome = await self._redeem(source)
            if isinstance(outcome, TokenReply):
                await self._put_in_force(source, outcome)
                return None
            if outcome.class_ is not ErrorClass.PERMANENT_GRANT:
                break
        assert isinstance(outcome, Refusal), "a claim is made for at least one source"
        return await self._note(outcome)

    def _watch_for_what_is_stored(self) -> None:
        """Any of it may be sent, and providers quote what they refuse."""
        if (stored := self._claim.seen.token) is None:
            return
        in_urls = self._opened.integration.base_url_names()
        captured = [value for name, value in stored.captured.items() if name not in in_urls]
        for value in (stored.token, stored.refresh_token or "", *captured):
            LIVE_SECRETS.add(value)

    async def _redeem(self, source: TokenSource) -> TokenReply | Refusal:
        taken_over = self._claim.seen.row.in_doubt
        if taken_over and (recovered := await self._recovered(source)):
            return recovered
        outcome = await self.ask(source)
        if source.spends is None or isinstance(outcome, TokenReply):
            return outcome if isinstance(outcome, TokenReply) else dataclasses.replace(outcome, in_doubt=False)
        # An attempt with something else, the code of a consent, says nothing about this refresh token.
        spent_before = taken_over and self._claim.seen.row.attempt_fingerprint == fingerprint(source.spends)
        in_doubt = spent_before or outcome.in_doubt
        if outcome.in_doubt and not spent_before:
            # Providers forgive a refresh token that is spent twice for seconds only: ask again at once or never.
            outcome = await self.ask(source)
        if isinstance(outcome, TokenReply):
            return outcome
        if outcome.class_ is ErrorClass.PERMANENT_GRANT:
            return dataclasses.replace(outcome, code=LOST_REPLY if in_doubt else outcome.code)
        return dataclasses.replace(outcome, in_doubt=in_doubt and outcome.refresh_token is None)

    async def ask(self, source: TokenSource) -> TokenReply | Refusal:
        """All requests of a source within one deadline; each answer is stored before anything is made of it."""
        replies: tuple[RawReply, ...] = ()
        held = True
        ends = min(time.monotonic() + self._timing.deadline, self._lease.ends)
        try:
            while (request := source.next_request(replies)) is not None:
                left = ends - time.monotonic()
                if left <= 0 or not held or not self._lease.held:
                    return Refusal(ErrorClass.TRANSIENT, "timeout", detail="no time was left for the next request")
                if wait := await self._blocked(request):
                    return Refusal(ErrorClass.TRANSIENT, HOST_BLOCKED, retry_after=wait)
                reply = await self._answer(dataclasses.replace(request, deadline=left))
                replies = (*replies, reply)
                if 200 <= reply.status < 300:
                    held = await self._keep(PendingReplies(source.name, self._claim.seen.basis, replies))
            return source.read(replies)
        except TokenReplyError as error:
            return of_reply(error)
        except NetError as error:
            return of_net_error(error)
        except UNBUILDABLE as error:
            return of_unbuildable(error)

    async def _blocked(self, request: OutboundRequest) -> float:
        """Seconds for which a host wants to be left alone; that of the first request was asked with the claim."""
        host = parse_target(request.url).authority
        if host in self._free_hosts:
            return 0.0
        return await self.persist(lambda connection: host_block(connection, host))

    async def _answer(self, request: OutboundRequest) -> RawReply:
        self._host = parse_target(request.url).authority
        requested_at = self._claim.seen.row.now + time.monotonic() - self._won_at
        answer = await self._http.send(request)
        return RawReply(answer.status, kept_headers(answer.headers), answer.body, requested_at)

    async def _recovered(self, source: TokenSource) -> TokenReply | None:
        """The token in the answers that an earlier holder stored and did not live to put in force."""
        pending = await self._store.pending(self._claim)
        if pending is None or (pending.source, pending.basis) != (source.name, self._claim.seen.basis):
            return None
        try:
            return source.read(pending.replies) if source.next_request(pending.replies) is None else None
        except (TokenReplyError, *UNBUILDABLE):
            return None

    async def _keep(self, pending: PendingReplies) -> bool:
        return await self.persist(lambda connection: self._store.keep(connection, self._claim, pending))

    async def _put_in_force(self, source: TokenSource, reply: TokenReply) -> None:
        await self.persist(
            lambda connection: self._store.swap(connection, self._claim, self._opened, source.spends, reply)
        )

    async def _note(self, refusal: Refusal) -> Refusal | None:
        return await self.persist(
            lambda connection: self._store.fail(connection, self._claim, self._opened, refusal, self._host)
        )

    async def persist(self, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `act` in a transaction, again and again while the database is away and there is time."""
        while True:
            try:
                async with self._database.write() as connection:
                    return await act(connection)
            except DatabaseUnavailable as error:
                logger.warning("account %r: its token could not be stored yet: %s", self._opened.account.name, error)
                if time.monotonic() >= self._lease.ends:
                    raise
            await asyncio.sleep(self._timing.poll)

"""One batch of the sweep: accounts renewed ahead of time, without being a burden to anybody's token endpoint.

Each host gets so many requests at once and so many a second. A host that fails again and again is left alone, with all
who wait for it, until a single request shows that it is back; a refused OAuth client likewise. Their accounts stay due.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from auth.errors import ClientRefused, CredentialError, HostClosed, NeedsReconnect, TokenUnavailable, Undiscovered
from auth.refresh_plan import Ahead, shut_for
from storage.database import Database
from storage.due_tokens import DueToken, postpone_token, still_due
from storage.errors import DatabaseUnavailable
from storage.token_hosts import (
    client_accepted,
    clients_refused,
    closed,
    failures_of,
    host_answered,
    host_failed,
    shut_host,
)

logger = logging.getLogger(__name__)

LOOK_AGAIN = 3600.0
"""Seconds until an account that cannot even be asked for is looked at again: somebody must correct something first."""
LOOK_SOON = 60.0
"""The same where it was not known where to ask; what was asked and failed has its own next instant already."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How much at once. `seconds`: after these no more is begun, so that a slow host keeps nobody waiting."""

    per_host: int = 5
    per_second: float = 10.0
    in_all: int = 10
    seconds: float = 30.0


class Outcome(StrEnum):
    """What became of one account; the names of the fields of `definitions.sweep.Tally`."""

    RENEWED = "renewed"
    PLACED = "placed"
    FAILED = "failed"
    ENDED = "ended"
    LEFT = "left"


class Renewer(Protocol):
    """`auth.resolver.CredentialResolver`."""

    async def renew_ahead(self, account_id: str, host: str | None, client: str | None) -> Ahead:
        """Raises CredentialError, DatabaseUnavailable."""


class Lane:
    """The accounts that ask one host, in the order in which they are due."""

    def __init__(self, host: str | None, *, failed: bool) -> None:
        self.host = host
        self.failed = failed
        """Whether its last request failed."""
        self.probing = False
        """Whether the host, or one of its clients, refused lately: one request at a time, until one is answered."""
        self.waiting: deque[DueToken] = deque()
        self.shut = False
        self.counting = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._next_at = 0.0

    async def take_turn(self, at_once: asyncio.Semaphore, interval: float) -> None:
        """Wait until the next request may begin, with one of the places of `at_once` taken."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(max(0.0, self._next_at - loop.time()))
            await at_once.acquire()
            self._next_at = loop.time() + interval

    async def rest(self) -> None:
        """Wait until whoever comes next may begin."""
        await asyncio.sleep(max(0.0, self._next_at - asyncio.get_running_loop().time()))


class RenewAhead:
    """Renews batches; one for each process."""

    def __init__(self, database: Database, renewer: Renewer, caps: Caps | None = None) -> None:
        self._database = database
        self._renewer = renewer
        self._caps = caps or Caps()

    async def batch(self, account_ids: Sequence[str]) -> "Counter[Outcome]":
        """Renew what of these is still due; how many met which end.

        Raises:
            DatabaseUnavailable: what was begun has ended, and everything else is still due.
        """
        lanes, refused = await self._lanes(account_ids)
        run = Run(self._database, self._renewer, self._caps, refused)
        try:
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(run.through(lane))
        except* DatabaseUnavailable as errors:
            raise _first(errors) from None
        run.counts[Outcome.LEFT] += sum(len(lane.waiting) for lane in lanes)
        return +run.counts  # without those that nobody met

    async def _lanes(self, account_ids: Sequence[str]) -> tuple[list[Lane], frozenset[str]]:
        async with self._database.read() as connection:
            shut = await closed(connection)
            rows = await still_due(connection, account_ids)
            failures = await failures_of(connection, {row.host for row in rows if row.host})
            refused = await clients_refused(connection, {row.client for row in rows if row.client})
        lanes: dict[str | None, Lane] = {}
        for row in rows:
            if row.host in shut.hosts or row.client in shut.clients:
                continue
            failed = failures.get(row.host or "", 0)
            lane = lanes.setdefault(row.host, Lane(row.host, failed=failed > 0))
            lane.probing |= shut_for(failed) is not None or row.client in refused
            lane.waiting.append(row)
        return list(lanes.values()), refused


class Run:
    """One batch under way."""

    def __init__(self, database: Database, renewer: Renewer, caps: Caps, refused: frozenset[str]) -> None:
        self._database = database
        self._renewer = renewer
        self._caps = caps
        self._refused = set(refused)
        self._stopped: set[str] = set()
        self._at_once = asyncio.Semaphore(caps.in_all)
        self._ends = asyncio.get_running_loop().time() + caps.seconds
        self.counts: Counter[Outcome] = Counter()

    async def through(self, lane: Lane) -> None:
        """All accounts of one lane."""
        while lane.probing and self._open(lane):
            await self._next(lane)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._caps.per_host, len(lane.waiting))):
                group.create_task(self._worker(lane))
        await lane.rest()

    async def _worker(self, lane: Lane) -> None:
        while self._open(lane):
            await self._next(lane)

    def _open(self, lane: Lane) -> bool:
        while lane.waiting and lane.waiting[0].client in self._stopped:
            lane.waiting.popleft()
            self.counts[Outcome.LEFT] += 1
        return bool(lane.waiting) and not lane.shut and asyncio.get_running_loop().time() < self._ends

    async def _next(self, lane: Lane) -> None:
        # Rows of a host that is not known yet are only placed: at most their issuer is asked where its endpoints are.
        await lane.take_turn(self._at_once, 1 / self._caps.per_second if lane.host else 0.0)
        try:
            if self._open(lane):  # perhaps it was closed while this one waited
                row = lane.waiting.popleft()
                self.counts[await self._renew(lane, row)] += 1
        finally:
            self._at_once.release()

    async def _renew(self, lane: Lane, row: DueToken) -> Outcome:
        try:
            ahead = await self._renewer.renew_ahead(row.account_id, row.host, row.client)
        except HostClosed:
            lane.shut = True
            return Outcome.LEFT
        except TokenUnavailable as error:
            if not isinstance(error, Undiscovered):  # that says nothing of the token endpoint
                await self._failed(lane, error)
            await self._postpone(row, LOOK_SOON, error.code)
            return Outcome.FAILED
        except CredentialError as error:
            return await self._refused_for_good(lane, row, error)
        except DatabaseUnavailable:
            raise
        except Exception:
            # A fault of ours with one account must not keep all others of its batch from their tokens, again and again.
            logger.exception("account id %s: renewing its token ended in an error", row.account_id)
            await self._postpone(row, LOOK_AGAIN, "internal")
            return Outcome.FAILED
        if ahead is Ahead.NEVER:
            await self._postpone(row, None)
        if ahead is Ahead.RENEWED:
            await self._answered(lane, row)
        return _OUTCOMES[ahead]

    async def _refused_for_good(self, lane: Lane, row: DueToken, error: CredentialError) -> Outcome:
        if isinstance(error, ClientRefused):
            self._stopped.add(row.client or "")
            return Outcome.FAILED
        logger.warning("%s", error, extra={"account": error.account})
        if isinstance(error, NeedsReconnect):
            await self._answered(lane, row)
            return Outcome.ENDED
        await self._postpone(row, LOOK_AGAIN, error.code)
        return Outcome.FAILED

    async def _failed(self, lane: Lane, error: TokenUnavailable) -> None:
        if lane.host is None:
            return
        async with lane.counting:
            if lane.shut:  # one failure in a row more or less, of those under way, says nothing new
                return
            lane.failed = True
            async with self._database.write() as connection:
                failures = await host_failed(connection, lane.host)
                seconds = shut_for(failures)
                if seconds is not None:
                    await shut_host(connection, lane.host, seconds)
            lane.shut = seconds is not None
        if seconds is not None:
            tell = logger.info if lane.probing else logger.warning
            tell("token endpoint at %s: failed %d times in a row, left alone for %.0f s", lane.host, failures, seconds)
            logger.info("%s", error, extra={"account": error.account})

    async def _answered(self, lane: Lane, row: DueToken) -> None:
        """A host that answers has no failures, and a client that is served is not refused."""
        lane.probing = False
        accepted = row.client if row.client in self._refused else None
        if accepted is None and (lane.host is None or not lane.failed or lane.shut):
            return
        lane.failed = False
        self._refused.discard(accepted or "")
        async with self._database.write() as connection:
            if lane.host is not None:
                await host_answered(connection, lane.host)
            if accepted is not None:
                await client_accepted(connection, accepted)

    async def _postpone(self, row: DueToken, seconds: float | None, error: str | None = None) -> None:
        async with self._database.write() as connection:
            await postpone_token(connection, row.account_id, seconds, error)


def _first(errors: BaseException) -> BaseException:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors


_OUTCOMES = {
    Ahead.RENEWED: Outcome.RENEWED,
    Ahead.PLACED: Outcome.PLACED,
    Ahead.ENDED: Outcome.ENDED,
    Ahead.NOT_DUE: Outcome.LEFT,
    Ahead.NEVER: Outcome.PLACED,
}

"""What the outbox holds is sent: signals to runs that wait, and notifications to people.

Every worker does this, once a second, for the whole installation: a parcel is taken for a while by one of them, and
deleted when it was sent. So each is sent at least once, whatever dies at which moment; a run that is woken twice goes
on once.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from typing import Protocol

from pydantic import ValidationError
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from auth.errors import CredentialError
from definitions.notification import Notification, NotificationKind
from definitions.run import RunResult, Wake
from runtime.notifiers import Notifier, NotifierFailed
from runtime.repeating import repeating
from storage.database import Database
from storage.outbox import NOTIFICATION, WAKE, Parcel, put_back, sent, something_due, take
from storage.waiters import forget_waiters, wanting
from workflows.run import RunWorkflow

logger = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at an outbox that was empty."""
LOOK_EVERY = 5.0
"""Seconds between two looks whether runs wait for accounts that may work."""
FORGET_EVERY = 3600.0
UNKNOWN_LATER = 30.0
"""Seconds until a notification that this version does not know is there to be taken again, by a newer one."""
SIGNALS_AT_ONCE = 50
NOTIFICATIONS_AT_ONCE = 5
TAKEN_FOR = 120.0
"""Seconds for which nobody else takes what one has taken: longer than sending it may take."""
NOTIFIED_WITHIN = 23
"""Tries, the last ones an hour apart: half a day."""


class Outcome(Enum):
    """What became of one signal."""

    REACHED = auto()
    """The run has it."""
    IN_VAIN = auto()
    """The run has ended."""
    FAILED = auto()
    """To be tried again."""


class Reviver(Protocol):
    """`auth.resolver.CredentialResolver`."""

    async def revive(self, account_id: str, version: int) -> None:
        """Raises CredentialError, DatabaseUnavailable."""


class Delivery:
    """Sends what is due; one for each worker."""

    def __init__(self, database: Database, client: Client, reviver: Reviver, notifiers: Sequence[Notifier]) -> None:
        self._database = database
        self._client = client
        self._reviver = reviver
        self._notifiers = notifiers

    def running(self) -> AbstractAsyncContextManager[None]:
        """Deliver until left; what is being sent then is finished."""
        return repeating(
            (
                (self.wake, EVERY),
                (self.notify, EVERY),
                (self.look, LOOK_EVERY),
                (self.forget, FORGET_EVERY),
            )
        )

    async def wake(self) -> int:
        """Signal some of the runs that are to be woken; returns how many were taken."""
        parcels = await self._take(WAKE, SIGNALS_AT_ONCE)
        if not parcels:
            return 0
        outcomes = await asyncio.gather(*(self._signal(parcel) for parcel in parcels))
        ended = list(zip(parcels, outcomes, strict=True))
        if failed := outcomes.count(Outcome.FAILED):
            logger.warning("%d runs could not be woken yet, and are tried again: see tieline doctor", failed)
        async with self._database.write() as connection:
            await sent(connection, [parcel.id for parcel, outcome in ended if outcome is Outcome.REACHED])
            in_vain = [parcel.id for parcel, outcome in ended if outcome is Outcome.IN_VAIN]
            await sent(connection, in_vain, counted=False)
            for parcel, outcome in ended:
                if outcome is Outcome.FAILED:
                    await put_back(connection, parcel.id, _backoff(parcel.failures, longest=60))
        return len(parcels)

    async def notify(self) -> int:
        """Send some of the notifications that are due; returns how many were taken."""
        parcels = await self._take(NOTIFICATION, NOTIFICATIONS_AT_ONCE)
        await asyncio.gather(*(self._tell(parcel) for parcel in parcels))
        return len(parcels)

    async def look(self) -> int:
        """Try accounts that runs wait for and that may work: nobody else may ask for them for long."""
        async with self._database.read() as connection:
            accounts = await wanting(connection)
        for account_id, version in accounts.items():
            with contextlib.suppress(CredentialError):  # noted where it was found; tried again when that can help
                await self._reviver.revive(account_id, version)
        return 0

    async def forget(self) -> int:
        """Delete the waits that are over without having been ended."""
        async with self._database.write() as connection:
            await forget_waiters(connection)
        return 0

    async def _take(self, kind: str, limit: int) -> Sequence[Parcel]:
        async with self._database.read() as connection:
            if not await something_due(connection, kind):
                return ()
        async with self._database.write() as connection:
            return await take(connection, kind, seconds=TAKEN_FOR, limit=limit)

    async def _signal(self, parcel: Parcel) -> Outcome:
        content = json.loads(parcel.content)
        run: WorkflowHandle[RunWorkflow, RunResult] = self._client.get_workflow_handle_for(
            RunWorkflow.run, content["run"]
        )
        wake = Wake(ticket=content["ticket"], because=content["because"])
        try:
            try:
                await run.signal(RunWorkflow.wake, wake)
            except RPCError as error:
                if not _is_gone(error):
                    raise
                return Outcome.REACHED if await self._had_it(run, wake) else Outcome.IN_VAIN
        except RPCError as error:
            logger.debug("run %s could not be woken yet: Temporal answers %s", run.id, error.status.name.lower())
            return Outcome.FAILED
        except Exception:  # the others that were taken with it are none the worse for it
            logger.exception("run %s could not be woken yet", run.id)
            return Outcome.FAILED
        return Outcome.REACHED

    async def _had_it(self, run: WorkflowHandle[RunWorkflow, RunResult], wake: Wake) -> bool:
        """Whether a run that has ended was woken by this very signal: who sent it did not live to note it."""
        try:
            async for event in run.fetch_history_events():
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                    arguments = event.workflow_execution_signaled_event_attributes.input.payloads
                    if wake in await self._client.data_converter.decode(arguments, [Wake]):
                        return True
        except RPCError as error:
            if not _is_gone(error):
                raise
        return False

    async def _tell(self, parcel: Parcel) -> None:
        try:
            notification = _as_told(Notification.model_validate_json(parcel.content), parcel.woken)
        except ValidationError:
            logger.error("notification %s is for a newer worker to send", parcel.id)
            async with self._database.write() as connection:
                await put_back(connection, parcel.id, UNKNOWN_LATER, parcel.told)
            return
        waiting = [notifier for notifier in self._notifiers if notifier.name not in parcel.told]
        outcomes = await asyncio.gather(*(notifier.tell(notification) for notifier in waiting), return_exceptions=True)
        told = set(parcel.told)
        for notifier, outcome in zip(waiting, outcomes, strict=True):
            if outcome is None:
                told.add(notifier.name)
            elif isinstance(outcome, NotifierFailed):
                logger.error("notification %s: %s", notification.id, outcome)
            else:
                logger.error("notification %s: notifier %s: %s", notification.id, notifier.name, type(outcome).__name__)
        async with self._database.write() as connection:
            if told >= {notifier.name for notifier in waiting}:
                await sent(connection, [parcel.id])
            elif parcel.failures < NOTIFIED_WITHIN:
                await put_back(connection, parcel.id, _backoff(parcel.failures, longest=3600), told)
            else:
                logger.error("notification %s is given up: %s", notification.id, notification.message)
                await sent(connection, [parcel.id])


def _is_gone(error: RPCError) -> bool:
    """Whether the run has ended, or its retention has passed: not that of a namespace that is not there yet."""
    return error.status is RPCStatusCode.NOT_FOUND and "Namespace" not in error.message


def _backoff(failures: int, longest: float) -> float:
    """Seconds. A power that is too large to be a number is never asked for, however long something fails."""
    return float(min(2.0 ** min(failures, 16), longest))


def _as_told(notification: Notification, woken: int) -> Notification:
    if notification.kind is not NotificationKind.RECONNECTED:
        return notification
    if not woken:
        return notification.model_copy(update={"runs_resumed": 0})
    runs = "1 run that waited for it goes on" if woken == 1 else f"{woken} runs that waited for it go on"
    return notification.model_copy(update={"runs_resumed": woken, "message": f"{notification.message}: {runs}"})

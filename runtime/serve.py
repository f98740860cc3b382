"""A process that works until it is told to stop: a worker alone, or with what else one machine needs.

The first SIGINT or SIGTERM lets the calls under way end within the grace period; the second ends the process at once.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from temporalio.client import Client
from temporalio.service import RPCError

from runtime.assembly import connect, open_worker
from runtime.health import Check, health_endpoint
from runtime.schedules import ScheduleRefused, keep_sweep
from runtime.search_attributes import register_search_attributes
from runtime.settings import Settings
from runtime.stores import Stores, open_stores
from runtime.temporal_server import TemporalAddress, find_temporal

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
HEALTH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Serving:
    """What a process that is ready tells about itself."""

    settings: Settings
    temporal: TemporalAddress
    gateway: str | None = None
    """URL of the HTTP API."""


Announce = Callable[[Serving], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What everything in a process that serves rests on."""

    stores: Stores
    client: Client


class Stop:
    """The wish to stop: it interrupts a process that is not ready yet; one that is waits for it, then drains."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self._task = task
        self._event = asyncio.Event()
        self._waited_for = False

    async def asked(self) -> None:
        """Wait for the wish."""
        self._waited_for = True
        await self._event.wait()

    def ask(self, number: int) -> None:
        """Take a signal."""
        if self._event.is_set():
            _end_at_once(number)
        self._event.set()
        if not self._waited_for:
            self._task.cancel()


async def serve_worker(settings: Settings, announce: Announce) -> None:
    """Work on the task queue of the configured server, or of the one that `tieline up` runs, until told to stop.

    Raises:
        TemporalServerError, TemporalUnreachable: there is no server to work for.
        SearchAttributesMissing: the server lacks them and refuses to add them.
        KeyringError: there is no key.
    """

    async def work(stop: Stop) -> None:
        temporal = find_temporal(settings)
        async with connected(settings, temporal) as parts, working(parts, temporal):
            announce(Serving(settings, temporal))
            await stop.asked()

    await until_stopped(work)


@contextlib.asynccontextmanager
async def connected(settings: Settings, temporal: TemporalAddress) -> AsyncIterator[Parts]:
    """The stores and a client, and the process's health told to whoever asks."""
    async with open_stores(settings) as stores:
        client = await connect(stores, temporal.address, serving=True)
        await register_search_attributes(client)
        async with health_endpoint(settings.health_address, checks(stores, client)):
            yield Parts(stores, client)


@contextlib.asynccontextmanager
async def working(parts: Parts, temporal: TemporalAddress) -> AsyncIterator[None]:
    """Work on the task queue, and see to it that the sweep is scheduled there."""
    settings = parts.stores.settings
    try:
        await keep_sweep(parts.client, settings.task_queue)
    except ScheduleRefused as error:
        log.error("%s", error)
    async with open_worker(parts.stores, parts.client):
        log.info("working on task queue %r at %s", settings.task_queue, temporal.address)
        yield
        log.info("stopping: calls under way have %g seconds to end", settings.grace_period)


async def until_stopped(work: Callable[[Stop], Awaitable[None]]) -> None:
    """Do what a process is there for; SIGINT and SIGTERM tell it to stop."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    stop = Stop(task)
    with _handling(stop.ask):
        await work(stop)


@contextlib.contextmanager
def _handling(handle: Callable[[int], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def _end_at_once(number: int) -> NoReturn:
    log.warning("ended by a second signal: calls under way are cut off")
    os._exit(128 + number)


def checks(stores: Stores, client: Client) -> dict[str, Check]:
    """What must be well for this process to be of use."""

    async def temporal() -> str | None:
        try:
            healthy = await client.service_client.check_health(timeout=timedelta(seconds=HEALTH_SECONDS))
        except RPCError as error:
            return f"Temporal does not answer ({error.status.name.lower()})"
        return None if healthy else "Temporal answers that it is not healthy"

    async def database() -> str | None:
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await stores.definitions.list("profile")
        except Exception as error:
            # Whatever it is, the answer is "not ready"; its text may name the database's URL.
            return f"the database does not answer ({type(error).__name__})"
        return None

    return {"temporal": temporal, "database": database}

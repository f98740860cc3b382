"""What a verb works with: the installation's stores and, for runs, its Temporal server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cli.output import note, note_once

if TYPE_CHECKING:
    from temporalio.client import Client

    from runtime.runs import Runs
    from runtime.settings import Settings
    from runtime.stores import Stores

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """The stores, and the runs in the Temporal server that belongs to them."""

    stores: "Stores"
    client: "Client"
    runs: "Runs"


def with_stores(work: "Callable[[Stores], Awaitable[T]]") -> T:
    """Do some work with database and keys; needs no server."""

    async def go() -> T:
        async with _stores() as stores:
            return await work(stores)

    return asyncio.run(go())


def with_runs(work: Callable[[Session], Awaitable[T]]) -> T:
    """Do some work with runs.

    Raises:
        TemporalServerError, TemporalUnreachable: no Temporal server belongs to this data folder, or none answers.
    """

    async def go() -> T:
        async with _session() as session:
            return await work(session)

    return asyncio.run(go())


@contextlib.asynccontextmanager
async def _stores() -> "AsyncIterator[Stores]":
    from runtime.stores import open_stores

    async with open_stores(client_settings()) as stores:
        yield stores


@contextlib.asynccontextmanager
async def _session() -> AsyncIterator[Session]:
    from runtime.assembly import connect
    from runtime.runs import Runs
    from runtime.temporal_server import find_temporal

    async with _stores() as stores:
        client = await connect(stores, find_temporal(stores.settings).address)
        yield Session(stores, client, Runs(client, stores.settings.task_queue, stores.assets))


def client_settings() -> "Settings":
    """The settings of a command that ends by itself: warnings only, unless a level was asked for, and no metrics or
    traces, whose addresses belong to the worker."""
    from runtime.logs import configure_logging

    settings = _settings().model_copy(update={"metrics_address": None, "otlp_endpoint": None})
    configure_logging(_warnings_only(settings))
    if not settings.data_dir.exists():
        note(f"there is no data folder {settings.data_dir} yet: it is made now (TIELINE_DATA_DIR names another)")
    return settings


def server_settings() -> "Settings":
    """The settings of a process that serves."""
    from runtime.logs import tell_runs_in_fields

    settings = logging_settings()
    tell_runs_in_fields()
    return settings


def logging_settings() -> "Settings":
    """The settings of whatever logs as it is told, and keeps nothing."""
    from runtime.logs import configure_logging

    settings = _settings()
    configure_logging(settings)
    return settings


def _settings() -> "Settings":
    from runtime.settings import load_settings, unknown_variables

    for warning in unknown_variables():
        note_once(f"warning: {warning}")
    return load_settings()


def _warnings_only(settings: "Settings") -> "Settings":
    asked = "log_level" in settings.model_fields_set
    return settings if asked else settings.model_copy(update={"log_level": "warning"})

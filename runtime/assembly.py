"""Where the parts of a process are put together: the one place that knows all constructors."""

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.host_keys import HostKeyActivities
from activities.http import HttpActivities
from activities.http_streams import HttpSourceStreams
from activities.refresh import RefreshActivities
from activities.sftp import SftpActivities
from activities.sftp_files import SftpFiles
from auth.ahead import RenewAhead
from auth.refresh import Refresher
from auth.resolver import CredentialResolver
from auth.sweep import DueAccounts
from net.client import GuardedClient
from runtime.delivery import Delivery
from runtime.egress import egress_policy
from runtime.following import Following
from runtime.notifiers import open_notifiers
from runtime.payload_store import PayloadStore
from runtime.plugin import data_converter, tieline_plugin
from runtime.settings import Settings
from runtime.sftp import open_connections
from runtime.stores import Stores, open_stores
from runtime.telemetry import temporal_runtime, tracing_interceptors

__all__ = ["Stores", "TemporalUnreachable", "connect", "open_resolver", "open_stores", "open_worker"]


class TemporalUnreachable(Exception):
    """No Temporal server answers at the configured address."""


@contextlib.asynccontextmanager
async def open_resolver(stores: Stores) -> AsyncIterator[tuple[CredentialResolver, GuardedClient]]:
    """The way out and what puts credentials on it."""
    settings = stores.settings
    http = GuardedClient(await egress_policy(settings), proxy=settings.proxy)
    refresher = Refresher(stores.database, stores.vault, http)
    try:
        yield CredentialResolver(stores.database, stores.vault, stores.definitions, refresher), http
    finally:
        await refresher.drain()
        await http.aclose()


async def connect(stores: Stores, address: str, *, serving: bool = False) -> Client:
    """A Temporal client that encrypts with this installation's keys; of a process that is `serving` it is traced.

    Raises:
        TemporalUnreachable: nothing answers there.
    """
    settings = stores.settings
    converter = data_converter(stores.keys, PayloadStore(stores.assets, settings.data_dir))
    plugin = tieline_plugin(converter, interceptors=tracing_interceptors(settings) if serving else ())
    try:
        return await Client.connect(
            address,
            namespace=settings.temporal_namespace,
            plugins=[plugin],
            runtime=temporal_runtime(settings, serving=serving),
        )
    except (RuntimeError, RPCError) as error:
        raise TemporalUnreachable(
            f"no Temporal server answers at {address} ({_reason(error)}): {_instead(settings)}"
        ) from None


def _instead(settings: Settings) -> str:
    if settings.temporal_address is not None:
        return "correct TIELINE_TEMPORAL_ADDRESS, or unset it and start an embedded one with `tieline up`"
    return "start one with `tieline up`, or set TIELINE_TEMPORAL_ADDRESS=HOST:PORT"


def _reason(error: Exception) -> str:
    """The operating system's words, which the SDK wraps in its own library's."""
    text = str(error).splitlines()[0]
    told = re.search(r'(?:message|error): "([^"]+)"', text)
    return told[1] if told else text


@contextlib.asynccontextmanager
async def open_worker(stores: Stores, client: Client) -> AsyncIterator[Worker]:
    """A worker on the installation's task queue, which delivers what the outbox holds, too.

    Leaving it drains the calls that are under way within the grace period.
    """
    settings = stores.settings
    async with (
        open_resolver(stores) as (resolver, http),
        open_connections(settings, await egress_policy(settings)) as connections,
    ):
        remote = SftpFiles(resolver, connections)
        calls = HttpActivities(resolver, resolver, http, assets=stores.assets, files=remote)
        sources = HttpSourceStreams(resolver, http)
        files = SftpActivities(resolver, resolver, connections, stores.assets, sources)
        renew = RenewAhead(stores.database, resolver)
        refresh = RefreshActivities(DueAccounts(stores.database), renew)
        worker = Worker(
            client,
            task_queue=settings.task_queue,
            activities=[
                calls.call,
                files.operate,
                files.clean_up,
                HostKeyActivities(stores.host_keys).trust,
                refresh.due,
                refresh.renew,
            ],
            graceful_shutdown_timeout=timedelta(seconds=settings.grace_period),
            max_heartbeat_throttle_interval=timedelta(seconds=5),
        )
        async with (
            open_notifiers(settings) as notifiers,
            worker,
            Delivery(stores.database, client, resolver, notifiers).running(),
            Following(stores.database, renew).running(),
        ):
            yield worker

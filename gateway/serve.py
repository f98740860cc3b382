"""Processes with a front door: everything that one machine needs, or the door alone."""

import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from auth.api_tokens import plain_address
from auth.public_url import is_loopback
from gateway.app import build
from gateway.codec import PATH, origins_of
from gateway.door import Door
from gateway.protocol import BoundedProtocol
from runtime.connecting import open_connecting
from runtime.http_server import http_server, listen
from runtime.own_services import GATEWAY_ADDRESS
from runtime.runs import Runs
from runtime.serve import Announce, Parts, Serving, Stop, checks, connected, until_stopped, working
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal, find_temporal

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
END_SECONDS = 5
"""For the requests under way when the process stops; those that wait for runs are answered at once."""


class GatewayAddressTaken(Exception):
    """The HTTP API's address cannot be bound."""


class GatewayOpen(Exception):
    """The HTTP API would be open to other machines, and nothing would keep anybody out."""


async def serve_all(settings: Settings, announce: Announce) -> None:
    """A worker and the front door, with a Temporal server of our own where none is configured, until told to stop.

    Raises:
        What `serve_worker` does, and:
        GatewayAddressTaken: the configured address cannot be bound.
        GatewayOpen: other machines could reach it, and there is no API token yet.
    """

    async def work(stop: Stop) -> None:
        with _listening(settings) as listener:
            here = as_served(settings, listener)
            async with (
                embedded_temporal(here, codec_endpoint=f"{_url(listener)}{PATH}") as temporal,
                connected(here, temporal) as parts,
                working(parts, temporal),
                front_door(parts, listener, temporal.ui) as url,
            ):
                announce(Serving(here, temporal, url))
                await stop.asked()

    await until_stopped(work)


async def serve_gateway(settings: Settings, announce: Announce) -> None:
    """The front door alone, for the Temporal server that is configured, or that `tieline up` runs; raises as above."""

    async def work(stop: Stop) -> None:
        temporal = find_temporal(settings)
        with _listening(settings) as listener:
            here = as_served(settings, listener)
            async with connected(here, temporal) as parts, front_door(parts, listener, temporal.ui) as url:
                announce(Serving(here, temporal, url))
                await stop.asked()

    await until_stopped(work)


@contextlib.asynccontextmanager
async def front_door(parts: Parts, listener: socket.socket, ui: str | None) -> AsyncIterator[str]:
    """Serve the HTTP API while the body runs; yields its URL. `ui` is Temporal's web interface. Raises GatewayOpen."""
    stores = parts.stores
    url = _url(listener)
    await _refuse_open_doors(parts, listener)
    runs = Runs(parts.client, stores.settings.task_queue, stores.assets)
    public_url = stores.settings.gateway_url or (url if _is_loopback(listener) else None)
    async with open_connecting(stores) as connecting:
        door = Door(stores, parts.client, runs, checks(stores, parts.client), connecting, origins_of(ui), public_url)
        async with http_server(_config(build(door), stores.settings), listener):
            log.info("the HTTP API answers at %s", url)
            try:
                yield url
            finally:
                door.closing.set()


def _config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.gateway_proxies),
        forwarded_allow_ips=settings.gateway_proxies,
        timeout_graceful_shutdown=END_SECONDS,
    )


def _listening(settings: Settings) -> socket.socket:
    """At the configured address; else at the usual port, or any free one where that is taken."""
    address = settings.gateway_address
    try:
        return listen(address or GATEWAY_ADDRESS)
    except OSError as error:
        if address is None and error.errno == errno.EADDRINUSE:
            log.warning("%s is taken by something else: the HTTP API is served at another port", GATEWAY_ADDRESS)
            return listen(f"{HOST}:0")
        raise GatewayAddressTaken(
            f"the HTTP API cannot be served at {address} ({error.strerror}): set TIELINE_GATEWAY_ADDRESS to another "
            "HOST:PORT"
        ) from None


async def _refuse_open_doors(parts: Parts, listener: socket.socket) -> None:
    """What a proxy passes on looks as if it came from this machine, so one that is told of counts as open too."""
    settings, instead = parts.stores.settings, ""
    if not _is_loopback(listener):
        where = f"at {listener.getsockname()[0]}"
        instead = ", or set TIELINE_GATEWAY_ADDRESS to a loopback address"
    elif settings.gateway_proxies:
        where = "through the proxies in TIELINE_GATEWAY_PROXIES"
    elif settings.gateway_url and not is_loopback(urlsplit(settings.gateway_url).hostname or ""):
        where = f"at {settings.gateway_url} (TIELINE_GATEWAY_URL)"
    elif foreign := [name for name in settings.gateway_hosts if not is_loopback(name)]:
        where = f"as {foreign[0]} (TIELINE_GATEWAY_HOSTS)"
    else:
        return
    if not await parts.stores.api_tokens.are_used():
        raise GatewayOpen(
            f"the HTTP API would be open to other machines {where}, and there is no API token yet: make one with "
            f"tieline tokens create NAME --scope runs:start{instead}"
        )


def _is_loopback(listener: socket.socket) -> bool:
    host = plain_address(listener.getsockname()[0])
    return host is not None and host.is_loopback


def as_served(settings: Settings, listener: socket.socket) -> Settings:
    """With the address that was found free: what this process calls must not be the front door itself."""
    host, port = listener.getsockname()[:2]
    return settings.model_copy(update={"gateway_address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"})


def _url(listener: socket.socket) -> str:
    """As this machine reaches it: at loopback, where it listens everywhere."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": HOST, "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

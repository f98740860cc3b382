"""Where this installation itself can be reached: what calls to other people's systems have no business to reach.

The places are looked up when a process starts. A name is closed as a name too, so one that moves later stays closed.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from net.egress import AllowRule
from runtime.settings import Settings
from runtime.temporal_binary import TemporalServerError
from runtime.temporal_server import find_temporal

POSTGRESQL_PORT = 5432
GATEWAY_ADDRESS = "127.0.0.1:8700"
"""Where the HTTP API is served unless another address is configured, or this one is taken."""
LOOK_UP_SECONDS = 5.0


async def own_services(settings: Settings) -> list[AllowRule]:
    """One rule for each name, and each address behind it, of the installation's own services."""
    places = sorted(set(_places(settings)))
    found = await asyncio.gather(*(_addresses(host) for host, _ in places))
    rules = [
        rule
        for (host, port), addresses in zip(places, found, strict=True)
        for each in sorted({host, *addresses})
        for rule in _rules(each, port)
    ]
    return [*rules, *_public_name(settings.gateway_url)]


def _places(settings: Settings) -> Iterator[tuple[str, int]]:
    gateway = settings.gateway_address or GATEWAY_ADDRESS
    for listening in (gateway, settings.health_address, settings.metrics_address):
        if listening is not None:
            yield from _as_reached(*_host_and_port(f"//{listening}"))
    with contextlib.suppress(TemporalServerError, OSError):
        temporal = find_temporal(settings)
        yield _host_and_port(f"//{temporal.address}")
        if temporal.ui is not None:
            yield _host_and_port(temporal.ui)
    if settings.assets_endpoint is not None:
        parts = urlsplit(settings.assets_endpoint)
        yield parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    with contextlib.suppress(ArgumentError):
        database = make_url(settings.database_url)
        if database.host:
            yield database.host, database.port or POSTGRESQL_PORT


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def _public_name(url: str | None) -> Iterator[AllowRule]:
    """The name alone: behind the address of a proxy there may be others, whom calls may well mean."""
    if url is not None:
        parts = urlsplit(url)
        yield from _rules(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _as_reached(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Who listens on every address is reached at those of the machine."""
    with contextlib.suppress(ValueError):
        if ip_address(host).is_unspecified:
            for each in (socket.gethostname(), *_own_addresses()):
                yield each, port
            return
    yield host, port


def _own_addresses() -> Iterator[str]:
    """Loopback, and where this machine's packets to elsewhere come from: the machine's name may stand for neither."""
    for family, loopback, elsewhere in _FAMILIES:
        yield loopback
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # of a datagram socket this sends nothing
            yield probe.getsockname()[0]


async def _addresses(host: str) -> list[str]:
    look_up = asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    try:
        answers = await asyncio.wait_for(look_up, LOOK_UP_SECONDS)
    except (OSError, UnicodeError, TimeoutError):
        return []
    return [str(answer[4][0]).partition("%")[0] for answer in answers]


def _rules(host: str, port: int) -> Iterator[AllowRule]:
    with contextlib.suppress(ValueError):  # what no rule can name, no call can reach
        yield AllowRule.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


_FAMILIES = (
    (socket.AF_INET, "127.0.0.1", "198.51.100.1"),
    (socket.AF_INET6, "::1", "2001:db8::1"),
)
"""With an address for documentation of each (RFC 5737, RFC 3849)."""

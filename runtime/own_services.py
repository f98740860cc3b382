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
LOOK_UP_SECONDS = 5.0


async def own_services(settings: Settings) -> list[AllowRule]:
    """One rule for each name, and each address behind it, of the installation's own services."""
    places = sorted(set(_places(settings)))
    found = await asyncio.gather(*(_addresses(host) for host, _ in places))
    return [
        rule
        for (host, port), addresses in zip(places, found, strict=True)
        for each in sorted({host, *addresses})
        for rule in _rules(each, port)
    ]


def _places(settings: Settings) -> Iterator[tuple[str, int]]:
    for listening in (settings.health_address, settings.metrics_address):
        if listening is not None:
            yield _as_reached(*_host_and_port(f"//{listening}"))
    with contextlib.suppress(TemporalServerError, OSError):
        temporal = find_temporal(settings)
        yield _host_and_port(f"//{temporal.address}")
        if temporal.ui is not None:
            yield _host_and_port(temporal.ui)
    with contextlib.suppress(ArgumentError):
        database = make_url(settings.database_url)
        if database.host:
            yield database.host, database.port or POSTGRESQL_PORT


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def _as_reached(host: str, port: int) -> tuple[str, int]:
    """Who listens on every address is reached at those of the machine."""
    with contextlib.suppress(ValueError):
        host = socket.gethostname() if ip_address(host).is_unspecified else host
    return host, port


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

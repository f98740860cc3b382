"""What the front door's routes work with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request
from temporalio.client import Client

from runtime.connecting import Connecting
from runtime.health import Check
from runtime.runs import Runs
from runtime.stores import Stores


@dataclass(frozen=True, slots=True)
class Door:
    """One installation, as its front door sees it."""

    stores: Stores
    client: Client
    runs: Runs
    checks: Mapping[str, Check]
    connecting: Connecting
    ui_origins: frozenset[str]
    """Of Temporal's web interface: its pages may have payloads decoded."""
    public_url: str | None
    """Where browsers reach the pages for connecting; None when nobody said."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process stops: whoever waits for a run is answered at once."""


def door_of(request: Request) -> Door:
    """The installation behind this request."""
    door: Door = request.app.state.door
    return door

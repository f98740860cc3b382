"""The SSH connections of a process. Loading their library takes a while, so it is loaded where they are opened."""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from net.egress import EgressPolicy
from net.resolver import SystemResolver
from runtime.settings import Settings

if TYPE_CHECKING:
    from net.ssh_pool import SshConnections


@contextlib.asynccontextmanager
async def open_connections(settings: Settings, policy: EgressPolicy) -> "AsyncIterator[SshConnections]":
    """Ends them when it is left."""
    from net.ssh_pool import SshConnections

    resolver = SystemResolver()
    connections = SshConnections(policy, resolver, allow_insecure=settings.sftp_insecure)
    try:
        yield connections
    finally:
        await connections.aclose()
        resolver.close()

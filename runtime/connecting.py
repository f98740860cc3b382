"""Connecting and disconnecting accounts, put together for one process. Needs no Temporal, and imports none."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from auth.connect import Connector
from auth.disconnect import Disconnector
from auth.exchange import Exchange
from auth.refresh import Refresher
from auth.resolver import CredentialResolver
from net.client import GuardedClient
from net.egress import AllowRule, EgressPolicy
from runtime.own_services import own_services
from runtime.stores import Stores


@dataclass(frozen=True, slots=True)
class Connecting:
    """Both ways."""

    connector: Connector
    disconnector: Disconnector


@contextlib.asynccontextmanager
async def open_connecting(stores: Stores) -> AsyncIterator[Connecting]:
    """Open for as long as the body runs; what is under way then is awaited."""
    settings, database, vault = stores.settings, stores.database, stores.vault
    allowed = [AllowRule.parse(rule) for rule in settings.egress_allow]
    http = GuardedClient(EgressPolicy(allowed, own=await own_services(settings)), proxy=settings.proxy)
    refresher = Refresher(database, vault, http)
    resolver = CredentialResolver(database, vault, stores.definitions, refresher)
    exchange = Exchange(database, vault, http)
    try:
        yield Connecting(
            Connector(database, vault, resolver, exchange, http), Disconnector(database, resolver, exchange, http)
        )
    finally:
        await exchange.drain()
        await refresher.drain()
        await http.aclose()

"""What a soak plays on: a database, the other side, accounts that were connected there, a front door."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from temporalio.client import Client
from temporalio.service import RPCError

from auth.connect import CALLBACK_PATH
from definitions.loading import load_text
from gateway.serve import front_door
from runtime.assembly import connect, open_stores
from runtime.connecting import open_connecting
from runtime.http_server import listen
from runtime.profiles import bind
from runtime.runs import Runs
from runtime.schedules import sweep_id
from runtime.search_attributes import register_search_attributes
from runtime.serve import Parts
from runtime.settings import Settings
from runtime.stores import Stores
from tests.fixtures.consented import BASE_URL, Browser, authorization_code
from tests.fixtures.databases import new_postgresql_database, postgresql_server
from tests.fixtures.http import serving
from tests.soak.counterpart import CLIENT_SECRET, LONG, SHORT, Counterpart
from tests.soak.plan import Plan

PROFILE = "production"
KEYED, PLAIN = "keyed", "plain"
"""Integrations, and the adapters of the same names: with and without idempotency keys."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A connected account, and the adapter through which it is used."""

    account: str
    adapter: str
    client: str


@dataclass(frozen=True, slots=True)
class Stage:
    """All that goes on while workers are killed."""

    plan: Plan
    stores: Stores
    client: Client
    runs: Runs
    server: Counterpart
    seats: list[Seat]
    http: httpx2.AsyncClient
    """To the front door."""

    def environment(self) -> dict[str, str]:
        """`TIELINE_…` variables for a worker."""
        settings = self.stores.settings
        return {
            "TIELINE_DATA_DIR": str(settings.data_dir),
            "TIELINE_DATABASE_URL": settings.database_url,
            "TIELINE_TEMPORAL_ADDRESS": settings.temporal_address or "",
            "TIELINE_TASK_QUEUE": settings.task_queue,
            "TIELINE_EGRESS_ALLOW": ",".join(settings.egress_allow),
            "TIELINE_LOG_LEVEL": "warning",
        }


@contextlib.asynccontextmanager
async def opened(plan: Plan, folder: Path, temporal: str) -> AsyncIterator[Stage]:
    """Everything but the workers. `temporal`: address of a server."""
    async with contextlib.AsyncExitStack() as stack:
        server = Counterpart(plan)
        await stack.enter_async_context(serving(server))
        more: dict[str, Any] = {"database_url": await _postgresql(stack)} if plan.postgresql else {}
        settings = Settings(
            data_dir=folder / "data",
            temporal_address=temporal,
            task_queue=f"soak-{uuid.uuid4().hex[:12]}",
            egress_allow=[f"127.0.0.1:{server.port}"],
            **more,
        )
        stores = await stack.enter_async_context(open_stores(settings))
        client = await connect(stores, temporal)
        await register_search_attributes(client)
        stack.push_async_callback(_end_schedule, client, settings.task_queue)
        seats = await _seats(plan, stores, server)
        listener = stack.enter_context(listen("127.0.0.1:0"))
        url = await stack.enter_async_context(front_door(Parts(stores, client), listener, None))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60))
        yield Stage(plan, stores, client, Runs(client, settings.task_queue), server, seats, http)


async def _end_schedule(client: Client, task_queue: str) -> None:
    """The workers made it, and the server may outlive the soak."""
    with contextlib.suppress(RPCError):
        await client.get_schedule_handle(sweep_id(task_queue)).delete()


async def _postgresql(stack: contextlib.AsyncExitStack) -> str:
    return await new_postgresql_database(stack.enter_context(postgresql_server()))


async def _seats(plan: Plan, stores: Stores, server: Counterpart) -> list[Seat]:
    """Apply definitions; create accounts, bind each to a subject of its name, and connect them."""
    for document in (_integration(KEYED, server), _integration(PLAIN, server)):
        await stores.definitions.apply(load_text(json.dumps(document), "soak.yaml"))
    seats = [
        Seat(f"account-{number:02}", (KEYED, PLAIN)[number % 2], (SHORT, LONG)[number // 2 % 2])
        for number in range(plan.accounts)
    ]
    for name in (SHORT, LONG):
        server.memory.clients[name].redirect_uris = (BASE_URL + CALLBACK_PATH,)
    for seat in seats:
        secrets = {"client_id": seat.client, "client_secret": CLIENT_SECRET}
        await stores.accounts.create(seat.account, seat.adapter, {}, secrets)
        await bind(stores, PROFILE, seat.adapter, seat.account, subject=seat.account)
    await connect_all(stores, server, seats)
    return seats


async def connect_all(stores: Stores, server: Counterpart, seats: list[Seat]) -> None:
    """Connect each account as a person does: by a browser that consents at the server."""
    async with open_connecting(stores) as connecting:
        for seat in seats:
            server.user = seat.account
            await Browser(connecting.connector).connect(seat.account)


def _integration(key: str, server: Counterpart) -> dict[str, Any]:
    document = {
        "kind": "integration",
        "key": key,
        "name": key,
        "base_url": server.url,
        "auth": authorization_code(server),
    }
    return document | ({"idempotency": {"header": "Idempotency-Key"}} if key == KEYED else {})

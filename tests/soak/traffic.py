"""What goes on while workers are killed: apps start runs, and tokens become due."""

import asyncio
import contextlib
import random
import time
from datetime import timedelta

from sqlalchemy import select, update
from temporalio.client import ScheduleOverlapPolicy
from temporalio.service import RPCError

from runtime.schedules import sweep_id
from storage.database import db_now
from storage.errors import DatabaseUnavailable
from storage.schema import accounts, tokens
from tests.soak.counterpart import LONG, ORDERS
from tests.soak.ledger import Kind, Order
from tests.soak.stage import KEYED, PROFILE, Seat, Stage

READS = 0.4
"""Share of the runs."""


class Traffic:
    """`orders` are the runs that were taken."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._random = random.Random(f"{stage.plan.seed} the apps")
        self._over = asyncio.Event()
        self.orders: list[Order] = []

    def end(self) -> None:
        """Start nothing more."""
        self._over.set()

    async def push(self) -> None:
        """Start runs at a steady pace, until the end."""
        begun, every = time.monotonic(), 1 / self._stage.plan.runs_per_second
        while not self._over.is_set():
            await asyncio.sleep(max(0.0, begun + len(self.orders) * every - time.monotonic()))
            await self._start(self._random.choice(self._stage.seats), len(self.orders))

    async def _start(self, seat: Seat, number: int) -> None:
        name = f"order-{number:05}"
        reads = self._random.random() < READS
        operation: dict[str, object] = {"adapter": seat.adapter, "method": "GET", "path": ORDERS}
        if not reads:
            operation |= {"method": "POST", "body": {"type": "json", "value": {"id": name}}}
        body = {"operation": operation, "profile": PROFILE, "subject": seat.account, "key": name}
        kind: Kind = "read" if reads else "keyed" if seat.adapter == KEYED else "unsafe"
        answer = await self._stage.http.post("/v1/runs", json=body)
        assert answer.status_code == 202, answer.text
        self.orders.append(Order(name, seat.account, kind, answer.json()["id"]))

    async def age(self) -> None:
        """Make long-lived tokens due, as if their hour were nearly over, and have the sweep look; until the end."""
        accounts_of = [seat.account for seat in self._stage.seats if seat.client == LONG]
        while not self._over.is_set():
            await self._make_due(accounts_of)
            await self.sweep()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self._stage.plan.due_every)

    async def sweep(self) -> None:
        """Start a sweep now, if none is under way."""
        stage = self._stage
        handle = stage.client.get_schedule_handle(sweep_id(stage.stores.settings.task_queue))
        try:
            await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP, rpc_timeout=timedelta(seconds=10))
        except RPCError:
            return  # no worker has made it yet, or the server is busy: the next one comes soon

    async def _make_due(self, names: list[str]) -> None:
        ids = select(accounts.c.id).where(accounts.c.name.in_(names))
        try:
            async with self._stage.stores.database.write() as connection:
                await connection.execute(
                    update(tokens)
                    .where(tokens.c.account_id.in_(ids), tokens.c.lease_until <= db_now(), tokens.c.state == "active")
                    .values(refresh_at=db_now() - 1)
                )
        except DatabaseUnavailable:
            return  # a worker that was stopped holds it

"""One soak from its beginning to what was seen."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.soak.afterwards import RESTING, accounts_of, dead, ends_of, settled, waiting
from tests.soak.ledger import Observed
from tests.soak.plan import Plan
from tests.soak.stage import connect_all, opened
from tests.soak.traffic import Traffic
from tests.soak.verdict import WAITING_FOR_RECONNECT
from tests.soak.workers import running

Tell = Callable[[str], None]


async def soak(plan: Plan, folder: Path, temporal: str, tell: Tell) -> Observed:
    """Kill as planned while accounts refresh and runs call, then look. `temporal`: address of a server."""
    began = time.monotonic()

    def said(what: str) -> None:
        tell(f"{time.monotonic() - began:7.1f} s  {what}")

    async with opened(plan, folder, temporal) as stage:
        traffic = Traffic(stage)
        async with running(plan, folder, stage.environment(), stage.server.ledger) as workers:
            stage.server.processes = workers.pids
            said(f"{plan.accounts} accounts connected, {plan.workers} workers ready")
            async with _going_on(traffic):
                async for number in workers.strike():
                    if number % 20 == 0:
                        said(f"{number} killed, {len(traffic.orders)} runs started")
            said("nobody kills any more")
            await workers.woken()
            await settled(stage, traffic, RESTING | {WAITING_FOR_RECONNECT})
            said("all is at rest, or has had its time")
            lost, waited = await dead(stage), await waiting(stage)
            accounts = await accounts_of(stage, lost)
            if lost:
                await connect_all(stage.stores, stage.server, lost)
                said(f"{len(lost)} accounts connected again, for which {waited} runs waited")
                await settled(stage, traffic)
        ends = await ends_of(stage, traffic.orders)
        accounts += await accounts_of(stage, [seat for seat in stage.seats if seat not in lost])
        return Observed(stage.server.ledger, ends, accounts, await accounts_of(stage, lost), waited, plan.grace)


@contextlib.asynccontextmanager
async def _going_on(traffic: Traffic) -> AsyncIterator[None]:
    """Traffic for as long as the body runs."""
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.push())
        group.create_task(traffic.age())
        try:
            yield
        finally:
            traffic.end()

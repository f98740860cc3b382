"""When nobody kills any more: wait until everything has come to rest, then look at it from both sides."""

import asyncio
import time

import httpx2
from sqlalchemy import func, select
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus

from auth.token_record import StoredToken
from runtime.runs import RunError, RunFailed
from storage.accounts import Account
from storage.schema import tokens
from tests.fixtures.authorization_server import TOKEN
from tests.soak.counterpart import CLIENT_SECRET
from tests.soak.ledger import AccountEnd, End, Order
from tests.soak.stage import Seat, Stage
from tests.soak.traffic import Traffic
from tests.soak.verdict import ACTIVE, WAITING_FOR_DECISION, WAITING_FOR_RECONNECT
from workflows.attributes import STATE

RESTING = frozenset({"done", "failed", "waiting_for_decision"})


async def settled(stage: Stage, traffic: Traffic, resting: frozenset[str] = RESTING) -> None:
    """Return when no token is in doubt and all runs are in these states, or when that takes too long."""
    ends = time.monotonic() + stage.plan.settle
    while time.monotonic() < ends:
        states = await _states(stage)
        if await _in_doubt(stage) == 0 and all(states.get(order.run_id) in resting for order in traffic.orders):
            return
        await traffic.sweep()
        await asyncio.sleep(1.0)


async def ends_of(stage: Stage, orders: list[Order]) -> list[End]:
    """How each run stands."""
    states = await _states(stage)
    return [await _end(stage, order, states.get(order.run_id, "unknown to Temporal")) for order in orders]


async def accounts_of(stage: Stage, seats: list[Seat]) -> list[AccountEnd]:
    """How each account stands; its stored refresh token is redeemed to see whether the server honours it."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        return [await _account(stage, seat, http) for seat in seats]


async def dead(stage: Stage) -> list[Seat]:
    """Those whose account is not in force."""
    return [seat for seat in stage.seats if (await stage.stores.accounts.get(seat.account)).state != ACTIVE]


async def waiting(stage: Stage) -> int:
    """How many runs wait for an account."""
    return list((await _states(stage)).values()).count(WAITING_FOR_RECONNECT)


async def _account(stage: Stage, seat: Seat, http: httpx2.AsyncClient) -> AccountEnd:
    account = await stage.stores.accounts.get(seat.account)
    stored = await _stored(stage, account)
    number = stage.server.number_of(stored)
    token = stage.server.token(number)
    # Before it is redeemed: what is asked here must not be what ends the family.
    revoked = token is None or token.family.revoked
    seen = len(stage.server.ledger.redemptions)
    answer = await http.post(
        stage.server.url + TOKEN,
        data={"grant_type": "refresh_token", "refresh_token": stored or ""},
        auth=(seat.client, CLIENT_SECRET),
    )
    del stage.server.ledger.redemptions[seen:]
    honoured = answer.status_code == 200
    return AccountEnd(seat.account, account.state, account.cause, number, honoured, revoked)


async def _stored(stage: Stage, account: Account) -> str | None:
    async with stage.stores.database.read() as connection:
        content = await stage.stores.vault.get(connection, "tokens", account.id, "token")
    return StoredToken.loads(content.decode()).refresh_token if content else None


async def _in_doubt(stage: Stage) -> int:
    async with stage.stores.database.read() as connection:
        query = select(func.count()).select_from(tokens).where(tokens.c.attempt_id.is_not(None))
        return int(await connection.scalar(query) or 0)


async def _states(stage: Stage) -> dict[str, str]:
    query = f"TaskQueue = '{stage.stores.settings.task_queue}' AND WorkflowType = 'tieline.run'"
    return {each.id: _state(each) async for each in stage.client.list_workflows(query)}


def _state(execution: WorkflowExecution) -> str:
    if execution.status is WorkflowExecutionStatus.COMPLETED:
        return "done"
    if execution.status is not WorkflowExecutionStatus.RUNNING:
        return "failed"
    return execution.typed_search_attributes.get(STATE) or "running"


async def _end(stage: Stage, order: Order, state: str) -> End:
    if state == "failed":
        try:
            await stage.runs.result(order.run_id)
        except RunFailed as error:
            return End(order, state, error.failure.category)
        except RunError as error:
            return End(order, state, str(error))
    if state == WAITING_FOR_DECISION:
        _, steps = await stage.runs.show(order.run_id)
        failures = [step.failure.category for step in steps if step.failure]
        return End(order, state, failures[-1] if failures else "nobody says why")
    return End(order, "done") if state == "done" else End(order, "under_way", state)

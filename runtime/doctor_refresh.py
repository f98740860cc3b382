"""Are tokens renewed ahead? What is due, whom the sweep leaves alone, and when it last ran."""

from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from runtime.findings import Finding, State
from runtime.schedules import sweep_id, sweep_state
from storage.database import Database
from storage.due_tokens import DueCounts, count_due
from storage.token_hosts import ClosedHost, StoppedClient, closed_hosts, stopped_clients

OVERDUE = 600.0
"""Seconds. A token is due with at least 15 % of its life left, and a sweep begins every half minute."""

LATE = timedelta(minutes=5)


async def token_findings(database: Database) -> list[Finding]:
    """What the database knows."""
    async with database.read() as connection:
        counts = await count_due(connection, OVERDUE)
        hosts, clients = await closed_hosts(connection), await stopped_clients(connection)
    waits = bool(hosts or clients)
    return [_due(counts, excused=waits), *map(_closed, hosts), *map(_stopped, clients)]


async def sweep_finding(client: Client, task_queue: str) -> Finding:
    """What Temporal knows of the schedule."""
    state = await sweep_state(client, task_queue)
    if state is None:
        return _sweep(State.WRONG, "is not scheduled", "a worker schedules it when it starts")
    if state.paused:
        told = f"is paused ({state.note or 'no reason given'}), so tokens are renewed on demand only"
        command = f"temporal schedule toggle --unpause --schedule-id {sweep_id(task_queue)}"
        return _sweep(State.NOTE, told, f"{command} --reason REASON")
    if state.last is None:
        return _sweep(State.OK, "is scheduled, and begins within half a minute")
    age = datetime.now(UTC) - state.last
    told = f"last began {_span(age.total_seconds())} ago, at {state.last:%Y-%m-%d %H:%M:%S} UTC"
    if age > LATE:
        return _sweep(State.WRONG, told, "see that a worker runs, and that Temporal's schedules do")
    return _sweep(State.OK, told)


def _due(counts: DueCounts, *, excused: bool) -> Finding:
    if not counts.due or counts.oldest is None:
        return Finding("tokens", State.OK, "none is due for renewal")
    if not counts.overdue:
        return Finding("tokens", State.OK, f"{counts.due} due for renewal, none overdue")
    told = (
        f"{counts.due} due for renewal, {counts.overdue} overdue, the longest for {_span(counts.now - counts.oldest)}"
    )
    if excused:
        return Finding("tokens", State.NOTE, told, "the sweep waits for the hosts and clients named below")
    return Finding("tokens", State.WRONG, told, "see that a worker runs, and the refresh sweep with it")


def _closed(host: ClosedHost) -> Finding:
    why = f" ({host.reason})" if host.reason else ""
    told = f"{host.host} fails or asks for rest{why}: left alone for another {_span(host.seconds)}"
    return Finding("token endpoint", State.NOTE, told)


def _stopped(client: StoppedClient) -> Finding:
    return Finding(
        "OAuth client",
        State.WRONG,
        f"refused at {client.host} ({client.reason}), {client.accounts} accounts wait",
        "save the right client_id and client_secret: tieline integrations set-secrets KEY, or for one account "
        "tieline accounts set-secrets NAME",
    )


def _sweep(state: State, told: str, action: str | None = None) -> Finding:
    return Finding("refresh sweep", state, told, action)


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"

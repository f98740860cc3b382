"""What an installation needs, looked at piece by piece; each fault with what to do about it. Changes nothing but the
database's schema, which every start brings up to date."""

from collections.abc import AsyncIterator

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from auth.keys import KeyringError
from runtime.assembly import TemporalUnreachable, connect
from runtime.doctor_accounts import account_findings, parked_findings
from runtime.doctor_assets import asset_findings
from runtime.doctor_refresh import sweep_finding, token_findings
from runtime.doctor_runs import decision_findings, retrying_findings
from runtime.findings import Finding, State
from runtime.notifiers import destinations
from runtime.pollers import is_polled
from runtime.runs import Runs
from runtime.settings import Settings, SettingsError, unknown_variables
from runtime.stores import Stores, open_stores
from runtime.temporal_binary import TemporalServerError
from runtime.temporal_server import find_temporal
from storage.errors import BadDatabaseUrl, DatabaseUnavailable, StorageError
from workflows.attributes import ALL


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything that can be looked at, in the order in which things rest on each other."""
    findings = [Finding("settings", State.NOTE, warning) for warning in unknown_variables()]
    try:
        async with open_stores(settings) as stores:
            findings.append(Finding("database", State.OK, f"reachable and migrated ({stores.database.dialect})"))
            findings += [finding async for finding in _within(stores)]
            findings += await asset_findings(stores)
            findings += await token_findings(stores.database)
            findings += [finding async for finding in _temporal(stores)]
    except SettingsError as error:
        findings.append(Finding("data folder", State.WRONG, str(error)))
    except KeyringError as error:
        findings.append(Finding("keys", State.WRONG, str(error)))
    except StorageError as error:
        away = isinstance(error, DatabaseUnavailable) and not isinstance(error, BadDatabaseUrl)
        findings.append(Finding("database", State.UNREACHABLE if away else State.WRONG, str(error)))
    findings.append(_notifications(settings))
    return findings


def _notifications(settings: Settings) -> Finding:
    told = [f"{name} ({place})" for name, place in destinations(settings).items() if name != "log"]
    if told:
        return Finding("notifications", State.OK, f"log, {', '.join(told)}; tieline notify test tries them")
    return Finding(
        "notifications", State.OK, "log only; TIELINE_NOTIFY_WEBHOOK_URL or TIELINE_NOTIFY_EMAIL_TO add people"
    )


async def _within(stores: Stores) -> AsyncIterator[Finding]:
    wrapped = await stores.vault.records_by_key()
    missing = sorted(wrapped.keys() - stores.keys.ids)
    if missing:
        lost = sum(wrapped[key] for key in missing)
        yield Finding(
            "keys",
            State.WRONG,
            f"{lost} secrets are encrypted with {', '.join(missing)}, which {stores.keys.origin} does not hold",
            "put the key back, or save these secrets again",
        )
    else:
        told = f"{len(stores.keys.ids)} in {stores.keys.origin}, primary {stores.keys.primary_id}"
        yield Finding("keys", State.OK, told)
    async for finding in account_findings(stores):
        yield finding


async def _temporal(stores: Stores) -> AsyncIterator[Finding]:
    try:
        address = find_temporal(stores.settings).address
        client = await connect(stores, address)
    except (TemporalServerError, TemporalUnreachable) as error:
        yield Finding("temporal", State.UNREACHABLE, str(error))
        return
    try:
        attributes = await _search_attributes(client)
        yield Finding("temporal", State.OK, f"reachable at {address}, namespace {client.namespace}")
        yield attributes
        yield await _worker(client, stores.settings.task_queue)
        yield await sweep_finding(client, stores.settings.task_queue)
        runs = Runs(client, stores.settings.task_queue)
        async for finding in parked_findings(stores, runs):
            yield finding
        async for finding in decision_findings(runs):
            yield finding
        async for finding in retrying_findings(client, runs):
            yield finding
    except RPCError as error:
        yield _refused(error, address, client.namespace)


def _refused(error: RPCError, address: str, namespace: str) -> Finding:
    if error.status is RPCStatusCode.NOT_FOUND:
        action = "create it there, or correct TIELINE_TEMPORAL_NAMESPACE"
        return Finding("temporal", State.WRONG, f"{address} has no namespace {namespace!r}", action)
    return Finding("temporal", State.UNREACHABLE, f"{address} stopped answering ({error.status.name.lower()})")


async def _search_attributes(client: Client) -> Finding:
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = [key.name for key in ALL if key.name not in listed.custom_attributes]
    if not missing:
        return Finding("search attributes", State.OK, "registered")
    return Finding(
        "search attributes", State.WRONG, f"missing: {', '.join(missing)}", "a worker registers them when it starts"
    )


async def _worker(client: Client, task_queue: str) -> Finding:
    if await is_polled(client, task_queue):
        return Finding("worker", State.OK, f"polls task queue {task_queue}")
    return Finding(
        "worker",
        State.WRONG,
        f"nobody polls task queue {task_queue}, so runs wait",
        "start one with `tieline worker`, or `tieline up`",
    )

"""Record what is missing in the replay corpus: `python -m tests.replay.record`, against a real server and real
misbehaving services. To record a history anew, take it out of the manifest first.

A history that no longer replays is a finding: a run like it, under way somewhere, would get stuck. Record anew only
together with `workflow.patched(...)`, or when histories of that shape cannot exist any more; add, rather than replace.
"""

import asyncio
import contextlib
import json
import re
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from pydantic import SecretStr
from sqlalchemy import update
from temporalio.worker import Worker

from activities.http import HttpActivities
from definitions.operation import HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Decision
from examples.externalsystems import serve
from runtime.account_test import refresh_account
from runtime.assembly import open_worker
from runtime.exit import leave
from runtime.profiles import bind
from runtime.runs import RunError
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal
from storage.schema import tokens
from storage.tokens import end_token
from tests.acceptance.crashing_worker import crashing_worker
from tests.fixtures.tieline import Installation, installed, secrets_of
from tests.fixtures.waiting import until

FOLDER = Path(__file__).parent / "histories"
MANIFEST = FOLDER / "manifest.json"
KEYS = SecretStr("replay:" + "cmVwbGF5IGNvcnB1cywgcHVibGljIHRlc3Qga2V5ISE=")
"""Published on purpose: it encrypts nothing but these histories."""

Scenario = Callable[[Installation], Awaitable[str]]


async def answered(tieline: Installation) -> str:
    return (await tieline.start("giphy", "/v1/gifs/search", query={"q": "cat"})).id


async def repeated_by_temporal(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/503x2/{fresh()}")).id


async def sent_again_after_a_wait(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/429x2:after=1/{fresh()}", method="POST")).id


async def refused(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/404/{fresh()}")).id


async def gave_up(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/503x*:after=5/{fresh()}", method="POST", give_up_after="2s")).id


async def decided_to_retry(tieline: Installation) -> str:
    return await _decided(tieline, "retry")


async def decided_to_skip(tieline: Installation) -> str:
    return await _decided(tieline, "skip")


async def decided_to_fail(tieline: Installation) -> str:
    return await _decided(tieline, "fail")


async def parked_by_policy(tieline: Installation) -> str:
    run_id = (await tieline.start("flaky", f"/404/{fresh()}", on_failure="park")).id
    await _decide(tieline, run_id, "retry")
    return run_id


async def nobody_decided(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/cut/{fresh()}", method="POST", park_for="1s")).id


async def parked_after_giving_up(tieline: Installation) -> str:
    path = f"/503x*:after=5/{fresh()}"
    run_id = (await tieline.start("flaky", path, method="POST", give_up_after="2s", on_failure="park")).id
    await _decide(tieline, run_id, "fail")
    return run_id


async def gave_up_by_temporal(tieline: Installation) -> str:
    return (await tieline.start("flaky", f"/503x*/{fresh()}", timeout="0.5s", give_up_after="1s")).id


async def gave_up_in_the_middle_of_an_attempt(tieline: Installation) -> str:
    """All in all 33 seconds, which are over within the fourth attempt."""
    path = f"/503,okx*:wait=60/{fresh()}"
    return (await tieline.start("flaky", path, timeout="9s", give_up_after="1s")).id


async def asked_twice(tieline: Installation) -> str:
    run_id = (await tieline.start("flaky", f"/cutx2/{fresh()}", method="POST")).id
    await _decide(tieline, run_id, "retry")
    await _decide(tieline, run_id, "skip")
    return run_id


async def ended_by_a_fault_of_ours(tieline: Installation) -> str:
    async def faulty(*_: object) -> NoReturn:
        raise RuntimeError("nobody has foreseen this")

    with patch.object(HttpActivities, "make", faulty):
        run_id = (await tieline.start("flaky", f"/ok/{fresh()}", method="POST")).id
        await _decide(tieline, run_id, "skip")
    return run_id


async def cancelled_in_the_middle_of_its_call(tieline: Installation) -> str:
    name = fresh()
    run_id = (await tieline.start("flaky", f"/ok:wait=60/{name}", method="POST", timeout="90s")).id
    await until(lambda: tieline.systems.ledger.effects(name) == 1)
    await tieline.runs.cancel(run_id)
    return run_id


async def cancelled_while_it_asked(tieline: Installation) -> str:
    run_id = (await tieline.start("flaky", f"/cut/{fresh()}", method="POST")).id
    await until(lambda: _is(tieline, run_id, "waiting_for_decision"))
    await tieline.runs.cancel(run_id)
    return run_id


async def cancelled_while_it_waited(tieline: Installation) -> str:
    run_id = (await tieline.start("flaky", f"/429:after=600/{fresh()}", method="POST")).id
    await until(lambda: _is(tieline, run_id, "waiting_to_retry"))
    await tieline.runs.cancel(run_id)
    return run_id


async def parked_for_its_account(tieline: Installation) -> str:
    run_id = await _waiting(tieline)
    await _revive(tieline)
    return run_id


async def woken_in_vain_before(tieline: Installation) -> str:
    run_id = await _waiting(tieline)
    await bind(tieline.stores, (await tieline.runs.summary(run_id)).profile or "", "unheard-of", "giphy")

    async def looked_again() -> bool:
        steps = (await tieline.runs.show(run_id))[1]
        return sum(step.what.startswith("waits for its account") for step in steps) == 2

    await until(looked_again)
    await _revive(tieline)
    return run_id


async def decided_while_parked(tieline: Installation) -> str:
    run_id = await _waiting(tieline)
    await tieline.runs.decide(run_id, Decision(action="skip", who="ann", why="recorded", value={"id": 1}))
    return run_id


async def nobody_connected(tieline: Installation) -> str:
    return await _parked(tieline, park_for="1s")


async def cancelled_while_parked(tieline: Installation) -> str:
    run_id = await _waiting(tieline)
    await tieline.runs.cancel(run_id)
    return run_id


async def lost_with_its_worker(tieline: Installation) -> str:
    run_id = await _lost(tieline, "POST")
    async with open_worker(tieline.stores, tieline.client):
        await _decide(tieline, run_id, "fail")
        await _ended(tieline, run_id)
    return run_id


async def lost_until_it_was_too_late(tieline: Installation) -> str:
    run_id = await _lost(tieline, "GET")
    async with open_worker(tieline.stores, tieline.client):
        await _ended(tieline, run_id)
    return run_id


async def taken_up_too_late(tieline: Installation) -> str:
    run_id = (await tieline.start("flaky", f"/ok/{fresh()}", method="POST", give_up_after="0.2s")).id
    started = time.monotonic()
    await until(lambda: time.monotonic() - started > 0.3)
    async with open_worker(tieline.stores, tieline.client):
        await _ended(tieline, run_id)
    return run_id


async def not_taken_up_in_time(tieline: Installation) -> str:
    async with Worker(tieline.client, task_queue=tieline.stores.settings.task_queue):  # for workflows only
        run_id = (await tieline.start("flaky", f"/ok/{fresh()}", method="POST", give_up_after="1s")).id
        await _ended(tieline, run_id)
    return run_id


WITHOUT_WORKER: tuple[Scenario, ...] = (
    lost_with_its_worker,
    lost_until_it_was_too_late,
    taken_up_too_late,
    not_taken_up_in_time,
)
"""They bring their own, and kill it."""

SCENARIOS: tuple[Scenario, ...] = (
    answered,
    repeated_by_temporal,
    sent_again_after_a_wait,
    refused,
    gave_up,
    decided_to_retry,
    decided_to_skip,
    decided_to_fail,
    parked_by_policy,
    parked_after_giving_up,
    gave_up_by_temporal,
    gave_up_in_the_middle_of_an_attempt,
    asked_twice,
    ended_by_a_fault_of_ours,
    nobody_decided,
    cancelled_in_the_middle_of_its_call,
    cancelled_while_it_asked,
    cancelled_while_it_waited,
    parked_for_its_account,
    woken_in_vain_before,
    decided_while_parked,
    nobody_connected,
    cancelled_while_parked,
)


async def _parked(tieline: Installation, park_for: str = "30d") -> str:
    """Its account has no token, and cannot get one; through a profile of its own, as credentials are kept by it."""
    stores, profile = tieline.stores, fresh()
    await bind(stores, profile, "twitter", "twitter")
    account = await stores.accounts.get("twitter")
    async with stores.database.write() as connection:
        await end_token(connection, account.id, "permanent_grant:invalid_grant")
        await connection.execute(update(tokens).where(tokens.c.account_id == account.id).values(access_expires_at=0.0))
    order = {"method": "POST", "path": "/2/tweets", "body": {"type": "json", "value": {"text": profile}}}
    operation = HttpOperation.model_validate({**order, "park_for": park_for})
    credential = CredentialRef(adapter="twitter", profile=profile)
    return (await tieline.runs.start(operation, credential, await stores.definitions.integration("twitter"))).id


async def _waiting(tieline: Installation) -> str:
    run_id = await _parked(tieline)
    await until(lambda: _is(tieline, run_id, "waiting_for_reconnect"))
    return run_id


async def _revive(tieline: Installation) -> None:
    await tieline.stores.accounts.set_secrets("twitter", secrets_of("twitter"))
    await refresh_account(tieline.stores, "twitter")


def fresh() -> str:
    return f"replay-{uuid.uuid4().hex[:8]}"


async def _decided(tieline: Installation, action: str) -> str:
    run_id = (await tieline.start("flaky", f"/cut/{fresh()}", method="POST")).id
    await _decide(tieline, run_id, action)
    return run_id


async def _decide(tieline: Installation, run_id: str, action: str) -> None:
    await until(lambda: _is(tieline, run_id, "waiting_for_decision"), limit=60)
    decision = Decision.model_validate({"action": action, "who": "ann", "why": "recorded", "value": {"id": 1}})
    await tieline.runs.decide(run_id, decision)


async def _lost(tieline: Installation, method: str) -> str:
    async with crashing_worker(tieline, "before_send") as worker:
        path = f"/ok/{fresh()}"
        run_id = (await tieline.start("flaky", path, method=method, timeout="0.5s", give_up_after="1s")).id
        await worker.wait()
    return run_id


async def _ended(tieline: Installation, run_id: str) -> None:
    with contextlib.suppress(RunError):
        await tieline.runs.result(run_id, timeout=timedelta(seconds=60))


async def _is(tieline: Installation, run_id: str, state: str) -> bool:
    return (await tieline.runs.show(run_id))[0].state == state


async def record(tieline: Installation, scenario: Scenario) -> str:
    """Run a scenario to its end and write its history; returns the workflow's id."""
    run_id = await scenario(tieline)
    await keep(tieline, scenario.__name__, run_id)
    return run_id


async def keep(tieline: Installation, name: str, run_id: str) -> None:
    """Wait for a run's end and write its history."""
    await _ended(tieline, run_id)
    history = await tieline.client.get_workflow_handle(run_id).fetch_history()
    clean = re.sub(r'"identity": "[^"]*"', '"identity": "recorder"', history.to_json())
    (FOLDER / f"{name}.json").write_text(clean + "\n", encoding="utf-8")


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    ids = dict(json.loads(MANIFEST.read_text(encoding="utf-8"))) if MANIFEST.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            embedded_temporal(Settings(data_dir=Path(folder))) as server,
            serve() as systems,
            installed(Path(folder) / "tieline", server.address, systems, keys=KEYS) as tieline,
        ):
            missing = [scenario for scenario in WITHOUT_WORKER if scenario.__name__ not in ids]
            ids |= {scenario.__name__: await record(tieline, scenario) for scenario in missing}
            missing = [scenario for scenario in SCENARIOS if scenario.__name__ not in ids]
            async with open_worker(tieline.stores, tieline.client):
                ids |= {scenario.__name__: await record(tieline, scenario) for scenario in missing}
    MANIFEST.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
    print(f"{len(ids)} histories are recorded")


if __name__ == "__main__":
    asyncio.run(main())
    leave(0)

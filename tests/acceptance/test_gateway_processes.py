"""The front door as processes that a user starts, and the commands about its tokens."""

import asyncio
import base64
import json
import re
import socket
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest

from auth.api_tokens import token_id_of
from tests.fixtures.processes import WorkerProcess, serving_process, tieline_command
from tests.fixtures.tieline import PROFILE, Installation
from tests.fixtures.waiting import until


def operation(name: str) -> dict[str, Any]:
    return {"profile": PROFILE, "operation": {"adapter": "flaky", "method": "POST", "path": f"/ok/{name}"}}


async def announced(process: WorkerProcess) -> dict[str, str]:
    """What it said about itself when it was ready."""
    await until(lambda: process.output.rstrip().endswith("}"))
    facts: dict[str, str] = json.loads(process.output)
    return facts


async def answered(http: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    """What Temporal's interface says as soon as it reaches its server: until then it answers 503."""
    answers: list[httpx2.Response] = []

    async def well() -> bool:
        answers.append(await http.get(url))
        return answers[-1].status_code == 200

    await until(well)
    told: dict[str, Any] = answers[-1].json()
    return told


async def test_a_gateway_process_starts_runs_that_a_worker_elsewhere_does(
    tieline: Installation, tmp_path: Path
) -> None:
    name = f"push-{uuid.uuid4().hex[:8]}"
    async with serving_process(tieline, tmp_path, "gateway", "-o", "json") as process:
        url = (await announced(process))["http_api"]
        async with httpx2.AsyncClient(trust_env=False, timeout=40) as http:
            answer = await http.post(f"{url}/v1/runs", json={**operation(name), "wait": 30})
        assert answer.status_code == 200, answer.text
        assert await process.stop() == 0
    assert tieline.systems.ledger.effects(name) == 1
    assert "POST /v1/runs 200 in" in process.log


async def test_a_gateway_that_is_told_to_stop_answers_who_waits_and_ends_well(
    idle: Installation, tmp_path: Path
) -> None:
    async with serving_process(idle, tmp_path, "gateway", "-o", "json") as process:
        url = (await announced(process))["http_api"]
        async with httpx2.AsyncClient(trust_env=False, timeout=40) as http:
            waiting = asyncio.create_task(http.post(f"{url}/v1/runs", json={**operation("x"), "wait": 60}))

            async def started() -> bool:
                queue = f"TaskQueue = '{idle.stores.settings.task_queue}'"
                return (await idle.client.count_workflows(queue)).count == 1

            await until(started)
            assert await process.stop() == 0
            assert (await waiting).status_code == 202


async def test_a_token_that_is_revoked_elsewhere_is_refused_from_then_on(idle: Installation, tmp_path: Path) -> None:
    made = await tieline_command(idle, "tokens", "create", "shop", "--scope", "runs:read")
    headers = {"Authorization": f"Bearer {made.output.strip()}"}
    async with serving_process(idle, tmp_path, "gateway", "-o", "json") as process:
        url = f"{(await announced(process))['http_api']}/v1/runs"
        async with httpx2.AsyncClient(trust_env=False, timeout=40, headers=headers) as http:
            before = (await http.get(url)).status_code
            revoked = await tieline_command(idle, "tokens", "revoke", "shop")
            after = (await http.get(url)).status_code
    assert (before, revoked.status, after) == (200, 0, 401)


async def test_calls_do_not_reach_the_gateway_itself(idle: Installation, tmp_path: Path) -> None:
    async with serving_process(idle, tmp_path, "gateway", "-o", "json", egress_allow="127.0.0.1") as process:
        url = (await announced(process))["http_api"]
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=40) as http:
            integration = {
                "kind": "integration",
                "key": "own",
                "name": "own",
                "base_url": url,
                "auth": {"type": "none"},
            }
            more = {"ports": [int(url.rpartition(":")[2])], "test": {"path": "/healthz"}}
            applied = await http.post("/v1/definitions", json={**integration, **more})
            assert applied.status_code == 200, applied.text
            await http.post("/v1/accounts", json={"name": "own", "integration": "own"})
            tested = (await http.post("/v1/accounts/own/test")).json()
    assert tested["works"] is False
    assert "is a service of this installation, closed by the egress policy" in tested["failure"]["message"]


async def test_two_gateways_on_one_machine_find_a_port_each(idle: Installation, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        serving_process(idle, tmp_path / "one", "gateway", "-o", "json") as one,
        serving_process(idle, tmp_path / "two", "gateway", "-o", "json") as two,
    ):
        urls = {(await announced(each))["http_api"] for each in (one, two)}
    assert len(urls) == 2


async def test_up_serves_the_api_and_lets_temporals_interface_decode_through_it(
    idle: Installation, tmp_path: Path
) -> None:
    name = f"up-{uuid.uuid4().hex[:8]}"
    async with serving_process(idle, tmp_path, "up", "-o", "json", temporal_address="") as process:
        facts = await announced(process)
        url, ui = facts["http_api"], facts["temporal_ui"]
        async with httpx2.AsyncClient(trust_env=False, timeout=40) as http:
            answer = await http.post(f"{url}/v1/runs", json={**operation(name), "wait": 30})
            assert answer.status_code == 200, answer.text
            assert (await http.get(f"{ui}/api/v1/settings")).json()["Codec"]["Endpoint"] == f"{url}/codec"
            history = f"{ui}/api/v1/namespaces/default/workflows/{answer.json()['id']}/history"
            started = (await answered(http, history))["history"]["events"][0]
            payloads = started["workflowExecutionStartedEventAttributes"]["input"]
            shown = await http.post(f"{url}/codec/decode", json=payloads, headers={"Origin": ui})
            assert name in base64.b64decode(shown.json()["payloads"][0]["data"]).decode()
            assert (await http.get(f"{url}/readyz")).json() == {"status": "ready", "faults": {}}
        assert await process.stop() == 0


async def test_a_configured_address_that_is_taken_is_told(idle: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = await tieline_command(idle, "gateway", gateway_address=address)
    assert ran.status == 2
    assert f"cannot be served at {address}" in ran.errors
    assert "TIELINE_GATEWAY_ADDRESS" in ran.errors


async def test_a_gateway_for_other_machines_without_a_token_does_not_start(idle: Installation) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"0.0.0.0:{probe.getsockname()[1]}"
    ran = await tieline_command(idle, "gateway", gateway_address=address)
    assert ran.status == 2
    assert "tieline tokens create NAME --scope runs:start" in ran.errors


async def test_a_token_is_printed_once_alone_and_listed_without_what_it_is(idle: Installation) -> None:
    made = await tieline_command(
        idle, "tokens", "create", "shop", "--scope", "runs:start", "--scope", "runs:read", "--allow", "10.0.0.0/8"
    )
    assert made.status == 0
    token = made.output.strip()
    assert token_id_of(token) is not None
    assert "not shown again" in made.errors
    listed = await tieline_command(idle, "tokens", "list")
    assert re.search(r"shop +runs:start, runs:read +10\.0\.0\.0/8 +in use", listed.output)
    assert token.rpartition("_")[2] not in listed.output


async def test_a_revoked_token_is_listed_as_that(idle: Installation) -> None:
    await tieline_command(idle, "tokens", "create", "shop", "--scope", "manage", "--expires", "90d")
    revoked = await tieline_command(idle, "tokens", "revoke", "shop", "-o", "json")
    assert json.loads(revoked.output)["revoked_at"] is not None
    [listed] = json.loads((await tieline_command(idle, "tokens", "list", "-o", "json")).output)
    assert (listed["name"], listed["scopes"]) == ("shop", ["manage"])
    assert listed["expires_at"] > listed["created_at"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "shop"], "Missing option '--scope'"),
        (["create", "shop", "--scope", "runs:strat"], "Did you mean 'runs:start'"),
        (["create", "shop", "--scope", "manage", "--allow", "home"], "no address or network"),
        (["revoke", "nobody"], "there is no API token 'nobody'"),
    ],
)
async def test_what_cannot_be_done_about_tokens_is_bad_use(idle: Installation, arguments: list[str], told: str) -> None:
    ran = await tieline_command(idle, "tokens", *arguments)
    assert ran.status == 2
    assert told in ran.errors

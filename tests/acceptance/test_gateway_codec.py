"""Payloads in clear for Temporal's web interface: to whoever may read runs, and to its own pages only."""

import asyncio
import base64
import json
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload

from gateway.codec import origins_of
from runtime.payload_store import THRESHOLD_BYTES
from runtime.settings import Settings
from runtime.temporal_binary import temporal_binary
from runtime.temporal_server import embedded_temporal
from tests.fixtures.gateway import UI, Gateway
from tests.fixtures.tieline import Installation

FROM_UI = {"Origin": UI, "Sec-Fetch-Site": "same-site", "X-Namespace": "default"}


async def input_of(tieline: Installation, body: str) -> Payload:
    """What a run was started with, as Temporal keeps it."""
    name = uuid.uuid4().hex[:8]
    started = await tieline.start("flaky", f"/ok/{name}", method="POST", body={"type": "json", "value": {"text": body}})
    history = await tieline.client.get_workflow_handle(started.id).fetch_history()
    return history.events[0].workflow_execution_started_event_attributes.input.payloads[0]


async def decoded(gateway: Gateway, *payloads: Payload, headers: dict[str, str] | None = None) -> httpx2.Response:
    body = {"payloads": [MessageToDict(payload) for payload in payloads]}
    return await gateway.http.post("/codec/decode", json=body, headers=headers or FROM_UI)


def clear(answer: httpx2.Response, number: int = 0) -> Any:
    payload = answer.json()["payloads"][number]
    return json.loads(base64.b64decode(payload["data"]))


async def test_what_a_run_was_started_with_is_shown_in_clear(open_gateway: Gateway) -> None:
    payload = await input_of(open_gateway.tieline, "hello")
    assert b"hello" not in payload.data
    answer = await decoded(open_gateway, payload)
    assert clear(answer)["operation"]["body"]["value"] == {"text": "hello"}


async def test_a_payload_that_lies_in_a_file_is_shown_too(open_gateway: Gateway) -> None:
    text = "x" * (2 * THRESHOLD_BYTES)
    payload = await input_of(open_gateway.tieline, text)
    assert len(payload.data) < 1000
    answer = await decoded(open_gateway, payload)
    assert clear(answer)["operation"]["body"]["value"] == {"text": text}


async def test_a_payload_that_cannot_be_read_stays_as_it_is_and_hides_no_other(open_gateway: Gateway) -> None:
    good = await input_of(open_gateway.tieline, "hello")
    foreign = Payload(metadata={"encoding": b"binary/encrypted", "tieline-key": b"lost"}, data=b"sealed")
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'"plain"')
    answer = await decoded(open_gateway, foreign, good, plain)
    assert answer.json()["payloads"][0] == MessageToDict(foreign)
    assert clear(answer, 1)["operation"]["body"]["value"] == {"text": "hello"}
    assert clear(answer, 2) == "plain"


async def test_what_is_encoded_is_encrypted_and_decodes_to_the_same(open_gateway: Gateway) -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'{"why": "planted"}')
    answer = await open_gateway.http.post("/codec/encode", json={"payloads": [MessageToDict(plain)]}, headers=FROM_UI)
    [sealed] = answer.json()["payloads"]
    assert base64.b64decode(sealed["metadata"]["encoding"]) == b"binary/encrypted"
    again = await open_gateway.http.post("/codec/decode", json={"payloads": [sealed]}, headers=FROM_UI)
    assert again.json()["payloads"] == [MessageToDict(plain)]


async def test_pages_of_the_interface_may_ask_and_read(open_gateway: Gateway) -> None:
    preflight = await open_gateway.http.options(
        "/codec/decode",
        headers={**FROM_UI, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-namespace"},
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == UI
    assert "x-namespace" in preflight.headers["access-control-allow-headers"]
    answer = await decoded(open_gateway)
    assert answer.headers["access-control-allow-origin"] == UI
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://attacker.test", "null", f"{UI}.attacker.test", "http://127.0.0.1:8234"])
async def test_pages_of_other_origins_may_not(open_gateway: Gateway, origin: str) -> None:
    for answer in (
        await decoded(open_gateway, headers={"Origin": origin}),
        await open_gateway.http.options("/codec/decode", headers={"Origin": origin}),
    ):
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/runs", "/codec", "/metrics"])
async def test_pages_of_the_interface_may_nothing_else(open_gateway: Gateway, path: str) -> None:
    answer = await open_gateway.http.get(path, headers=FROM_UI)
    assert answer.status_code == 403


async def test_the_interface_is_known_by_both_names_of_loopback() -> None:
    assert origins_of("http://127.0.0.1:8233") == {"http://127.0.0.1:8233", "http://localhost:8233"}
    assert origins_of("https://temporal.example/ui/") == {"https://temporal.example"}
    assert origins_of(None) == frozenset()


async def test_once_there_is_a_token_payloads_are_shown_to_its_holder_only(closed_gateway: Gateway) -> None:
    payload = await input_of(closed_gateway.tieline, "hello")
    refused = await decoded(closed_gateway, payload)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert refused.headers["access-control-allow-origin"] == UI  # or the page could not tell why
    shown = await decoded(closed_gateway, payload, headers={**FROM_UI, **await closed_gateway.token("runs:read")})
    assert clear(shown)["operation"]["body"]["value"] == {"text": "hello"}


async def test_a_token_without_the_scope_shows_nothing(closed_gateway: Gateway) -> None:
    payload = await input_of(closed_gateway.tieline, "hello")
    headers = {**FROM_UI, **await closed_gateway.token("runs:start", "runs:decide", "manage")}
    assert (await decoded(closed_gateway, payload, headers=headers)).status_code == 403


async def test_a_browser_presents_a_token_as_a_password_here_and_nowhere_else(closed_gateway: Gateway) -> None:
    token = (await closed_gateway.token("runs:read"))["Authorization"].removeprefix("Bearer ")
    basic = {"Authorization": "Basic " + base64.b64encode(f"ann:{token}".encode()).decode()}
    payload = await input_of(closed_gateway.tieline, "hello")
    assert "may see payloads now" in (await closed_gateway.http.get("/codec", headers=basic)).text
    shown = await decoded(closed_gateway, payload, headers={**FROM_UI, **basic})
    assert clear(shown)["operation"]["body"]["value"] == {"text": "hello"}
    assert (await closed_gateway.http.get("/v1/runs", headers=basic)).status_code == 401


@pytest.mark.parametrize("credentials", ["", "!", "YW5uOg==", base64.b64encode(b"\xff:\xff").decode()])
async def test_another_password_is_refused(closed_gateway: Gateway, credentials: str) -> None:
    answer = await closed_gateway.http.get("/codec", headers={"Authorization": f"Basic {credentials}".strip()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"payloads": 1}', b"[" * 100_000])
async def test_what_holds_no_payloads_is_refused(open_gateway: Gateway, content: bytes) -> None:
    headers = {**FROM_UI, "Content-Type": "application/json"}
    answer = await open_gateway.http.post("/codec/decode", content=content, headers=headers)
    assert (answer.status_code, answer.json()["category"]) == (422, "invalid_request")


async def test_temporals_own_command_line_shows_a_run_in_clear_with_a_token(closed_gateway: Gateway) -> None:
    tieline = closed_gateway.tieline
    text = f"planted-{uuid.uuid4().hex}"
    started = await tieline.start("flaky", "/ok/x", method="POST", body={"type": "json", "value": {"text": text}})
    bearer = (await closed_gateway.token("runs:read"))["Authorization"]
    process = await asyncio.create_subprocess_exec(
        *(str(await temporal_binary(None)), "workflow", "show", "--output", "json", "--workflow-id", started.id),
        *("--address", tieline.stores.settings.temporal_address or ""),
        *("--codec-endpoint", f"{closed_gateway.url}/codec", "--codec-auth", bearer),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    started_event = json.loads(output)["events"][0]["workflowExecutionStartedEventAttributes"]
    assert text in base64.b64decode(started_event["input"]["payloads"][0]["data"]).decode()


async def test_an_embedded_servers_interface_is_told_where_payloads_are_decoded(tmp_path: Path) -> None:
    endpoint = "http://127.0.0.1:8700/codec"
    settings = Settings(data_dir=tmp_path, temporal_address=None, temporal_port=None)
    async with embedded_temporal(settings, codec_endpoint=endpoint) as temporal, httpx2.AsyncClient() as http:
        told = (await http.get(f"{temporal.ui}/api/v1/settings")).json()
    assert told["Codec"]["Endpoint"] == endpoint

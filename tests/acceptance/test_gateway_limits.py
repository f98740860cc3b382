"""What the front door refuses before it looks: other hosts, other sites' pages, too much, too slow."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway import limits, protocol
from gateway.serve import GatewayOpen
from tests.fixtures.gateway import Gateway, exchange, head, opened_gateway, status_of
from tests.fixtures.tieline import Installation
from tests.fixtures.waiting import until


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:8700", "LOCALHOST.", "[::1]:8700", "192.0.2.7"])
async def test_addresses_and_localhost_are_answered(open_gateway: Gateway, host: str) -> None:
    assert (await open_gateway.http.get("/v1/runs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["attacker.test", "localhost.attacker.test", "127.0.0.1.attacker.test", "", "[x", "0x7f.1"]
)
async def test_other_hosts_are_refused_so_that_a_rebound_name_reaches_nothing(open_gateway: Gateway, host: str) -> None:
    answer = await open_gateway.http.get("/v1/runs", headers={"Host": host})
    assert (answer.status_code, answer.json()["category"]) == (421, "unknown_host")


async def test_two_hosts_are_refused(open_gateway: Gateway) -> None:
    answer = await exchange(open_gateway, b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    assert status_of(answer) in (400, 421)


async def test_a_configured_name_is_answered(idle: Installation) -> None:
    settings = idle.stores.settings.model_copy(update={"gateway_hosts": ["Tieline.example"]})
    object.__setattr__(idle.stores, "settings", settings)
    _, text = await idle.stores.api_tokens.create("reader", ["runs:read"])
    async with opened_gateway(idle) as gateway:
        headers = {"Host": "tieline.example:443", "Authorization": f"Bearer {text}"}
        answer = await gateway.http.get("/v1/runs", headers=headers)
        assert answer.status_code == 200


async def test_a_configured_name_is_not_served_without_any_token(idle: Installation) -> None:
    """Who is asked for under another name than this machine's is reached by others than this machine."""
    settings = idle.stores.settings.model_copy(update={"gateway_hosts": ["Tieline.example"]})
    object.__setattr__(idle.stores, "settings", settings)
    with pytest.raises(GatewayOpen, match=r"as Tieline\.example \(TIELINE_GATEWAY_HOSTS\)"):
        async with opened_gateway(idle):
            pass


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.test"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_request_from_another_sites_page_is_refused(open_gateway: Gateway, headers: dict[str, str]) -> None:
    answer = await open_gateway.http.post("/v1/runs", json={}, headers=headers)
    assert (answer.status_code, answer.json()["category"]) == (403, "foreign_page")


@pytest.mark.parametrize(("path", "status"), [("/docs", 200), ("/codec", 200), ("/v1/runs", 403)])
async def test_a_link_on_another_sites_page_leads_to_pages_and_to_nothing_else(
    open_gateway: Gateway, path: str, status: int
) -> None:
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await open_gateway.http.get(path, headers=visit)).status_code == status


async def test_no_answer_lets_another_sites_page_read_it(open_gateway: Gateway) -> None:
    answer = await open_gateway.http.options(
        "/v1/runs", headers={"Origin": "https://attacker.test", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


async def test_the_documentation_page_may_try_things_out(open_gateway: Gateway) -> None:
    headers = {"Origin": open_gateway.url, "Sec-Fetch-Site": "same-origin"}
    assert (await open_gateway.http.get("/v1/runs", headers=headers)).status_code == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_that_a_form_could_send_starts_nothing(open_gateway: Gateway, media_type: str) -> None:
    content = json.dumps({"operation": {"adapter": "flaky", "path": "/ok/x"}, "profile": "production"})
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await open_gateway.http.post("/v1/runs", content=content.encode(), headers=headers)
    assert (answer.status_code, answer.json()["category"]) == (422, "invalid_request")


async def test_no_answer_sets_a_cookie_and_every_answer_says_not_to_keep_it(open_gateway: Gateway) -> None:
    answer = await open_gateway.http.get("/v1/runs")
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers


async def test_a_body_that_says_it_is_too_large_is_refused_unread(open_gateway: Gateway) -> None:
    length = limits.MAX_BODY_BYTES + 1
    answer = await exchange(
        open_gateway, head("POST /v1/runs HTTP/1.1", f"Content-Length: {length}", "Content-Type: application/json")
    )
    assert status_of(answer) == 413
    assert "connection: close" in answer.lower()


async def test_a_body_that_grows_too_large_is_cut_off(open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BODY_BYTES", 100_000)
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = await exchange(
        open_gateway,
        head("POST /v1/runs HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json"),
        chunk,
        chunk,
    )
    assert status_of(answer) == 413


async def test_a_body_that_comes_too_slowly_is_cut_off(open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    request = head("POST /v1/runs HTTP/1.1", "Content-Length: 1000", "Content-Type: application/json")
    answer = await exchange(open_gateway, request, b'{"operation": ')
    assert status_of(answer) == 408


async def test_a_head_that_never_ends_is_cut_off(open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    answer = await exchange(open_gateway, b"GET /v1/runs HTTP/1.1\r\nHost: local")
    assert status_of(answer) == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"])
async def test_a_connection_on_which_nothing_is_asked_is_closed(
    open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    assert await exchange(open_gateway, sent) == ""


async def test_a_second_request_on_a_connection_has_its_own_time(
    open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", open_gateway.port)
    try:
        writer.write(head("GET /healthz HTTP/1.1"))
        await reader.readuntil(b'{"status":"alive"}')
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: lo")
        assert status_of((await asyncio.wait_for(reader.read(), 3)).decode()) == 408
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_head",
    [
        head("GET /v1/runs HTTP/1.1", f"X-Long: {'x' * 40_000}"),
        head("GET /v1/runs HTTP/1.1", *[f"X-{number}: {'x' * 100}" for number in range(400)]),
        head(f"GET /v1/runs?{'x' * 40_000} HTTP/1.1"),
        b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nX-Endless: " + b"x" * 70_000,
    ],
    ids=["one long header", "many headers", "a long query", "a header without end"],
)
async def test_a_head_that_is_too_large_is_refused(open_gateway: Gateway, request_head: bytes) -> None:
    answer = await exchange(open_gateway, request_head)
    assert status_of(answer) == 431


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"HELO there\r\n\r\n"])
async def test_what_is_no_http_is_refused(open_gateway: Gateway, sent: bytes) -> None:
    assert status_of(await exchange(open_gateway, sent)) == 400


async def test_more_connections_than_allowed_are_refused(
    open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 3)
    held = [await asyncio.open_connection("127.0.0.1", open_gateway.port) for _ in range(3)]
    try:
        answer = await exchange(open_gateway)
        assert status_of(answer) == 503
        assert "3 connections are open already" in answer
    finally:
        for _, writer in held:
            writer.close()

    async def let_in() -> bool:
        return status_of(await exchange(open_gateway, head("GET /healthz HTTP/1.1", "Connection: close"))) == 200

    await until(let_in)


async def test_an_answer_that_nobody_reads_is_given_up(open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.3)
    _, writer = await asyncio.open_connection("127.0.0.1", open_gateway.port, limit=1)
    for _ in range(40):
        writer.write(head("GET /docs/static/swagger-ui-bundle.js HTTP/1.1"))

    async def gone() -> bool:
        writer.write(head("GET /healthz HTTP/1.1"))
        return writer.transport.is_closing()

    await until(gone)


@pytest_asyncio.fixture
async def told(idle_gateway: Gateway, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Gateway]:
    caplog.set_level(logging.INFO, logger="gateway")
    yield idle_gateway


async def test_a_request_is_logged_by_its_route_without_path_and_query(
    told: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    headers = await told.token("runs:read", name="shop")
    answer = await told.http.get(f"/v1/runs/run-{'1' * 32}?q=planted-in-query", headers=headers)
    line = next(record.getMessage() for record in caplog.records if record.name == "gateway.context")
    assert line.startswith("GET /v1/runs/{run_id} 404 in ")
    assert f"by token shop  request_id={answer.json()['request_id']}" in line
    assert "planted-in-query" not in caplog.text


async def test_a_request_id_of_the_callers_own_is_kept(told: Gateway) -> None:
    answer = await told.http.get("/nowhere", headers={"X-Request-Id": "order-4711"})
    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == ("order-4711", "order-4711")


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(told: Gateway) -> None:
    answer = await told.http.get("/nowhere", headers={"X-Request-Id": "a b\tc"})
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "category"),
    [
        ("GET", "/nowhere", None, 404, "not_found"),
        ("DELETE", "/v1/runs", None, 405, "method_not_allowed"),
        ("GET", "/v1/runs/run-1", None, 422, "invalid_request"),
        ("GET", "/v1/runs?state=asleep", None, 422, "invalid_request"),
        ("GET", "/v1/runs?limit=0", None, 422, "invalid_request"),
        ("GET", "/v1/runs?adaptor=crm", None, 422, "invalid_request"),
        ("POST", "/v1/runs", {}, 422, "invalid_request"),
        ("POST", "/v1/runs", {"operation": {"adapter": "crm"}}, 422, "invalid_request"),
        ("POST", "/v1/runs", {"flow": "x"}, 422, "invalid_request"),
        ("POST", "/v1/runs", {"operation": {"adapter": "x", "path": "/"}, "wait": 61}, 422, "invalid_request"),
        ("POST", "/v1/runs", {"operation": {"adapter": "x", "path": "/", "methid": "GET"}}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem_document(
    open_gateway: Gateway, method: str, path: str, body: Any, status: int, category: str
) -> None:
    answer = await open_gateway.http.request(method, path, json=body)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["category"]) == (status, status, category)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]


async def test_a_faulty_request_is_told_where_and_why_and_not_with_what(open_gateway: Gateway) -> None:
    body = {"operation": {"adapter": "crm", "path": "/", "timeout": "planted-value"}}
    problem = (await open_gateway.http.post("/v1/runs", json=body)).json()
    assert problem["errors"] == [
        {
            "place": "body.operation.timeout",
            "message": "expected a duration such as 30s, 5m, 24h or 30d",
        }
    ]
    assert "planted-value" not in json.dumps(problem)


@pytest.mark.parametrize(
    "content", [b"{", b"[" * 100_000, b"\xff\xfe", b'{"operation": {"adapter": "\\ud800", "path": "/"}}']
)
async def test_a_body_that_is_no_json_is_refused(open_gateway: Gateway, content: bytes) -> None:
    answer = await open_gateway.http.post("/v1/runs", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["category"] == "invalid_request"


async def test_an_error_that_nobody_foresaw_tells_the_caller_nothing(
    open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError("planted-in-error")

    monkeypatch.setattr(type(open_gateway.tieline.runs), "page", broken)
    answer = await open_gateway.http.get("/v1/runs")
    assert (answer.status_code, answer.json()["category"]) == (500, "internal")
    assert "planted-in-error" not in answer.text
    assert answer.json()["request_id"] in caplog.text


async def test_metrics_count_requests_by_route_and_outcome(open_gateway: Gateway) -> None:
    await open_gateway.http.get(f"/v1/runs/run-{'2' * 32}")
    await open_gateway.http.get("/nowhere/planted-path")
    text = (await open_gateway.http.get("/metrics")).text
    assert 'tieline_http_requests_total{method="GET",route="/v1/runs/{run_id}",status="404"} 1.0' in text
    assert 'route="(none)",status="404"' in text
    assert "planted-path" not in text
    assert "process_resident_memory_bytes" in text


async def test_the_description_names_every_route_with_its_scope_and_the_form_of_errors(open_gateway: Gateway) -> None:
    document = (await open_gateway.http.get("/openapi.json")).json()
    start = document["paths"]["/v1/runs"]["post"]
    assert start["security"] == [{"token": ["runs:start"]}]
    assert "application/problem+json" in start["responses"]["default"]["content"]
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}


async def test_the_documentation_loads_nothing_from_elsewhere(open_gateway: Gateway) -> None:
    page = await open_gateway.http.get("/docs")
    assert "http" not in page.text.replace("https://json-schema.org", "")
    assert "script-src 'self'" in page.headers["content-security-policy"]

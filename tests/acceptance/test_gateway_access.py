"""Who may come in at the front door, what for, and from where."""

from typing import Any

import httpx2
import pytest

from auth.api_tokens import Scope
from gateway.app import build
from gateway.door import Door
from gateway.serve import GatewayOpen, front_door
from net.redaction import LIVE_SECRETS
from runtime.connecting import open_connecting
from runtime.http_server import listen
from runtime.serve import Parts
from tests.fixtures.gateway import UI, Gateway, opened_gateway
from tests.fixtures.tieline import PROFILE, Installation

RUN = f"run-{'0' * 32}"
OPERATION = {"profile": PROFILE, "operation": {"adapter": "flaky", "method": "POST", "path": "/ok/x"}}
DECISION = {"action": "retry", "why": "because"}

ROUTES = [
    ("POST", "/v1/runs", OPERATION, Scope.RUNS_START, 202),
    ("GET", "/v1/runs", None, Scope.RUNS_READ, 200),
    ("GET", f"/v1/runs/{RUN}", None, Scope.RUNS_READ, 404),
    ("GET", f"/v1/runs/{RUN}/history", None, Scope.RUNS_READ, 404),
    ("POST", f"/v1/runs/{RUN}/decision", DECISION, Scope.RUNS_DECIDE, 404),
    ("POST", f"/v1/runs/{RUN}/cancel", None, Scope.RUNS_DECIDE, 404),
    ("GET", "/metrics", None, Scope.RUNS_READ, 200),
]
"""Method, path, body, the scope that it needs, and what it answers to whoever has that."""


async def ask(gateway: Gateway, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx2.Response:
    return await gateway.http.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize(("method", "path", "body", "scope", "status"), ROUTES)
async def test_a_token_with_the_scope_may(
    closed_gateway: Gateway, method: str, path: str, body: Any, scope: Scope, status: int
) -> None:
    answer = await ask(closed_gateway, method, path, body, await closed_gateway.token(scope))
    assert answer.status_code == status


@pytest.mark.parametrize(("method", "path", "body", "scope", "status"), ROUTES)
async def test_a_token_with_every_other_scope_may_not(
    closed_gateway: Gateway, method: str, path: str, body: Any, scope: Scope, status: int
) -> None:
    answer = await ask(
        closed_gateway, method, path, body, await closed_gateway.token(*[each for each in Scope if each != scope])
    )
    assert (answer.status_code, answer.json()["category"]) == (403, "insufficient_scope")
    assert f'scope="{scope}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("method", "path", "body", "scope", "status"), ROUTES)
async def test_without_a_token_nobody_may_once_there_is_one(
    closed_gateway: Gateway, method: str, path: str, body: Any, scope: Scope, status: int
) -> None:
    answer = await ask(closed_gateway, method, path, body, {})
    assert (answer.status_code, answer.json()["category"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tieline"'


@pytest.mark.parametrize(("method", "path", "body", "scope", "status"), ROUTES)
async def test_without_any_token_this_machine_may(
    open_gateway: Gateway, method: str, path: str, body: Any, scope: Scope, status: int
) -> None:
    answer = await ask(open_gateway, method, path, body, {})
    assert answer.status_code == status


async def test_revoking_the_only_token_does_not_open_the_door_again(idle_gateway: Gateway) -> None:
    headers = await idle_gateway.token("runs:read", name="shop")
    await idle_gateway.tieline.stores.api_tokens.revoke("shop")
    assert (await idle_gateway.http.get("/v1/runs")).status_code == 401
    assert (await idle_gateway.http.get("/v1/runs", headers=headers)).status_code == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"])
async def test_what_came_through_a_proxy_is_not_taken_for_this_machine(open_gateway: Gateway, header: str) -> None:
    answer = await open_gateway.http.get("/v1/runs", headers={header: "127.0.0.1"})
    assert answer.status_code == 401


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer tieline_x", "Basic Og==", "tieline_0123456789ab_x"])
async def test_what_is_no_token_is_refused_even_where_none_is_needed(open_gateway: Gateway, authorization: str) -> None:
    answer = await open_gateway.http.get("/v1/runs", headers={"Authorization": authorization})
    assert answer.status_code == 401


async def test_two_authorizations_are_refused(closed_gateway: Gateway) -> None:
    [(name, value)] = (await closed_gateway.token("runs:read")).items()
    answer = await closed_gateway.http.get("/v1/runs", headers=[(name, value), (name, value)])
    assert answer.status_code == 401


async def test_a_token_in_the_query_is_not_taken(closed_gateway: Gateway) -> None:
    token = (await closed_gateway.token("runs:read"))["Authorization"].removeprefix("Bearer ")
    answer = await closed_gateway.http.get("/v1/runs", params={"token": token, "access_token": token})
    assert answer.status_code == 401


async def test_a_token_is_refused_from_an_address_it_was_not_made_for(closed_gateway: Gateway) -> None:
    elsewhere, here = await closed_gateway.token("runs:read", allow=["10.0.0.0/8"], name="elsewhere"), "127.0.0.0/8"
    answer = await closed_gateway.http.get("/v1/runs", headers=elsewhere)
    assert answer.status_code == 401
    answer = await closed_gateway.http.get(
        "/v1/runs", headers=await closed_gateway.token("runs:read", allow=[here], name="here")
    )
    assert answer.status_code == 200


async def test_an_address_that_a_stranger_claims_is_not_believed(closed_gateway: Gateway) -> None:
    headers = await closed_gateway.token("runs:read", allow=["10.0.0.0/8"])
    answer = await closed_gateway.http.get("/v1/runs", headers={**headers, "X-Forwarded-For": "10.0.0.7"})
    assert answer.status_code == 401


async def test_an_address_that_a_configured_proxy_tells_is_believed(idle: Installation) -> None:
    settings = idle.stores.settings.model_copy(update={"gateway_proxies": ["127.0.0.1/32"]})
    object.__setattr__(idle.stores, "settings", settings)
    await idle.stores.api_tokens.create("first", ["manage"])
    async with opened_gateway(idle) as gateway:
        headers = await gateway.token("runs:read", allow=["10.0.0.0/8"])
        answer = await gateway.http.get("/v1/runs", headers={**headers, "X-Forwarded-For": "10.0.0.7"})
        assert answer.status_code == 200
        answer = await gateway.http.get("/v1/runs", headers={**headers, "X-Forwarded-For": "10.0.0.7, 192.0.2.1"})
        assert answer.status_code == 401


async def test_who_is_not_let_in_is_told_before_the_body_is_looked_at(closed_gateway: Gateway) -> None:
    answer = await closed_gateway.http.post(
        "/v1/runs", content=b"{no json", headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 401


async def test_a_refused_token_stands_nowhere_in_answer_and_log(
    closed_gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    headers = await closed_gateway.token("runs:read", name="shop")
    token = headers["Authorization"].removeprefix("Bearer ")
    await closed_gateway.tieline.stores.api_tokens.revoke("shop")
    answer = await closed_gateway.http.get("/v1/runs", headers=headers)
    assert "revoked, expired" in answer.json()["detail"]
    assert "token 'shop' was revoked" in caplog.text
    assert token not in answer.text + str(answer.headers) + caplog.text
    assert LIVE_SECRETS.scrub(f"x {token} y") == f"x {LIVE_SECRETS.scrub(token)} y"
    assert token not in LIVE_SECRETS.scrub(token)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/docs/static/swagger-ui.css"])
async def test_health_and_documentation_are_open(closed_gateway: Gateway, path: str) -> None:
    assert (await closed_gateway.http.get(path)).status_code == 200


async def test_another_address_than_loopback_is_refused_while_there_is_no_token(idle: Installation) -> None:
    with listen("0.0.0.0:0") as listener, pytest.raises(GatewayOpen, match="tieline tokens create"):
        async with front_door(Parts(idle.stores, idle.client), listener, UI):
            pass


@pytest.mark.parametrize(
    ("open_to", "told"),
    [
        ({"gateway_proxies": ["10.0.0.1/32"]}, "through the proxies in TIELINE_GATEWAY_PROXIES"),
        ({"gateway_url": "https://tieline.example"}, "at https://tieline.example"),
    ],
)
async def test_what_a_proxy_in_front_would_open_is_refused_while_there_is_no_token(
    idle: Installation, open_to: dict[str, Any], told: str
) -> None:
    object.__setattr__(idle.stores, "settings", idle.stores.settings.model_copy(update=open_to))
    with listen("127.0.0.1:0") as listener, pytest.raises(GatewayOpen, match=told):
        async with front_door(Parts(idle.stores, idle.client), listener, UI):
            pass


async def test_without_a_token_another_address_of_this_machine_reaches_nothing(open_gateway: Gateway) -> None:
    other = open_gateway.url.replace("127.0.0.1", "127.0.0.2")  # also loopback: it listens at one address only
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{open_gateway.url}/healthz")).status_code == 200
        with pytest.raises(httpx2.ConnectError):
            await http.get(f"{other}/healthz")


@pytest.mark.parametrize("client", ["192.0.2.9", "10.0.0.7", "::ffff:10.0.0.7", "fe80::1%eth0", "testclient"])
async def test_without_a_token_who_is_not_on_this_machine_is_refused_however_it_came(
    open_gateway: Gateway, client: str
) -> None:
    tieline = open_gateway.tieline
    async with open_connecting(tieline.stores) as connecting:
        app = build(Door(tieline.stores, tieline.client, tieline.runs, {}, connecting, frozenset(), None))
        transport = httpx2.ASGITransport(app=app, client=(client, 4711))  # no test can come from there
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            answer = await http.get("/v1/runs")
    assert answer.status_code == 401


async def test_another_address_than_loopback_is_served_once_there_is_a_token(idle: Installation) -> None:
    await idle.stores.api_tokens.create("shop", ["runs:start"])
    with listen("0.0.0.0:0") as listener:
        async with front_door(Parts(idle.stores, idle.client), listener, UI) as url, httpx2.AsyncClient() as http:
            answer = await http.get(f"{url.replace('0.0.0.0', '127.0.0.1')}/v1/runs")
            assert answer.status_code == 401

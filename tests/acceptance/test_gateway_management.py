"""Integrations, accounts, profiles and definitions through the front door: as by command, and no secret comes out."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from auth.api_tokens import Scope
from net.redaction import LIVE_SECRETS
from tests.fixtures.gateway import Gateway
from tests.fixtures.tieline import secrets_of

RUN = f"run-{'0' * 32}"
TAKEN = {"name": "crm", "integration": "flaky", "parameters": {"server": "127.0.0.1:1"}}
YAML = {"Content-Type": "application/yaml"}

INTEGRATION = """
kind: integration
key: {key}
name: A system with a test call
base_url: "http://{{server}}/giphy"
parameters: {{server: {{pattern: '127\\.0\\.0\\.1:\\d+'}}}}
test: {{method: GET, path: /v1/gifs/search, query: {{q: cat}}}}
auth:
  type: api_token
  place: [{{in: url_parameter, name: api_key, value: "{{token}}"}}]
"""


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def applied(gateway: Gateway, text: str, **query: str) -> httpx2.Response:
    return await gateway.http.post("/v1/definitions", content=text, headers=YAML, params=query)


async def an_integration(gateway: Gateway) -> str:
    key = "i" + uuid.uuid4().hex[:8]
    answer = await applied(gateway, INTEGRATION.format(key=key))
    assert answer.status_code == 200, answer.text
    return key


async def an_account(gateway: Gateway, integration: str, secrets: Mapping[str, str] | None = None) -> str:
    name = fresh("account")
    body = {
        "name": name,
        "integration": integration,
        "parameters": {"server": gateway.tieline.systems.server},
        "secrets": secrets or dict(secrets_of("giphy")),
    }
    answer = await gateway.http.post("/v1/accounts", json=body)
    assert answer.status_code == 201, answer.text
    return name


async def test_a_definition_that_is_applied_can_be_read(open_gateway: Gateway) -> None:
    key = await an_integration(open_gateway)
    listed = (await open_gateway.http.get("/v1/integrations")).json()["integrations"]
    assert [each["auth"] for each in listed if each["key"] == key] == ["api_token"]
    shown = (await open_gateway.http.get(f"/v1/integrations/{key}")).json()
    assert shown["accounts_need"] == {"parameters": ["server"], "secrets": ["token"], "optional_secrets": []}
    assert shown["test"]["path"] == "/v1/gifs/search"


async def test_a_dry_run_says_what_would_change_and_changes_nothing(open_gateway: Gateway) -> None:
    key = await an_integration(open_gateway)
    changed = INTEGRATION.format(key=key).replace("A system with", "Another with")
    answer = await applied(open_gateway, changed, dry_run="true")
    [change] = answer.json()["changes"]
    assert (answer.json()["dry_run"], change["action"]) == (True, "updated")
    assert "+name: Another with a test call" in change["diff"]
    assert (await open_gateway.http.get(f"/v1/integrations/{key}")).json()["name"] == "A system with a test call"


async def test_a_definition_as_json_is_the_same_document(open_gateway: Gateway) -> None:
    name = fresh("profile")
    document = {"kind": "profile", "name": name, "adapters": {}}
    first = await open_gateway.http.post("/v1/definitions", json=document)
    second = await applied(open_gateway, f"kind: profile\nname: {name}\n")
    assert [first.json()["changes"][0]["action"], second.json()["changes"][0]["action"]] == ["created", "unchanged"]


async def test_a_faulty_definition_is_told_with_line_and_suggestion_and_nothing_is_applied(
    open_gateway: Gateway,
) -> None:
    name = fresh("profile")
    faulty = f"kind: profile\nname: {name}\n---\nkind: profile\nname: {name}-b\nadapterz: {{}}\n"
    problem = (await applied(open_gateway, faulty)).json()
    assert (problem["status"], problem["category"]) == (422, "invalid_definition")
    assert problem["errors"] == [
        {
            "place": "adapterz",
            "line": 6,
            "message": f"profile '{name}-b', adapterz (request:6): unknown key; did you mean adapters?",
        }
    ]
    assert (await open_gateway.http.get(f"/v1/profiles/{name}")).status_code == 404


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_definitions_that_a_form_could_send_are_refused(open_gateway: Gateway, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    answer = await open_gateway.http.post("/v1/definitions", content="kind: profile\nname: x\n", headers=headers)
    assert (answer.status_code, answer.json()["category"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content", [b"", b"\xff", b"kind: flow", b"[", b"a: &a [1]\nb: *a"])
async def test_what_is_no_definition_is_refused(open_gateway: Gateway, content: bytes) -> None:
    answer = await open_gateway.http.post("/v1/definitions", content=content, headers=YAML)
    assert (answer.status_code, answer.json()["category"]) == (422, "invalid_definition")


async def test_an_account_is_created_tested_and_deleted(open_gateway: Gateway) -> None:
    name = await an_account(open_gateway, await an_integration(open_gateway))
    tested = (await open_gateway.http.post(f"/v1/accounts/{name}/test")).json()
    assert (tested["works"], tested["status"]) == (True, 200)
    assert (await open_gateway.http.delete(f"/v1/accounts/{name}")).status_code == 204
    assert (await open_gateway.http.get(f"/v1/accounts/{name}")).status_code == 404


async def test_an_account_whose_secret_is_wrong_fails_its_test_until_it_is_replaced(open_gateway: Gateway) -> None:
    name = await an_account(open_gateway, await an_integration(open_gateway), {"token": "not-the-right-one"})
    tested = (await open_gateway.http.post(f"/v1/accounts/{name}/test")).json()
    assert (tested["works"], tested["failure"]["status"]) == (False, 403)
    secrets = {"secrets": dict(secrets_of("giphy"))}
    replaced = await open_gateway.http.put(f"/v1/accounts/{name}/secrets", json=secrets)
    assert replaced.json()["version"] == 2
    assert (await open_gateway.http.post(f"/v1/accounts/{name}/test")).json()["works"]


async def test_a_secret_goes_in_and_never_comes_out(open_gateway: Gateway) -> None:
    secret = f"planted-{uuid.uuid4().hex}"
    name = await an_account(open_gateway, await an_integration(open_gateway), {"token": secret})
    shown = await open_gateway.http.get(f"/v1/accounts/{name}")
    assert shown.json()["secrets"] == ["token"]
    answers = [
        shown,
        await open_gateway.http.get("/v1/accounts"),
        await open_gateway.http.post(f"/v1/accounts/{name}/test"),
        await open_gateway.http.put(f"/v1/accounts/{name}/secrets", json={"secrets": {"tokken": secret}}),
        await open_gateway.http.put(f"/v1/accounts/{name}/secrets", json={"secrets": {"token": secret + "\n"}}),
        await open_gateway.http.put(f"/v1/accounts/{name}/secrets", json={"secrets": {"token": [secret]}}),
        await open_gateway.http.put(f"/v1/accounts/{name}/secrets", json={"secrets": secret}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 422, 422, 422]
    assert secret not in " ".join(answer.text for answer in answers)
    assert secret not in LIVE_SECRETS.scrub(f"a log line with {secret}")


async def test_a_token_is_fetched_on_demand(open_gateway: Gateway) -> None:
    answer = await open_gateway.http.post("/v1/accounts/twitter/refresh")
    assert answer.status_code == 200
    assert answer.json()["token_version"] >= 1
    assert answer.json()["expires_at"] is not None


async def test_an_account_without_tokens_says_so_when_one_is_asked_for(open_gateway: Gateway) -> None:
    answer = await open_gateway.http.post("/v1/accounts/giphy/refresh")
    assert answer.status_code == 422
    assert "no token to fetch" in answer.json()["detail"].replace("which has ", "")


async def test_an_integrations_own_secrets_serve_all_its_accounts(open_gateway: Gateway) -> None:
    key = await an_integration(open_gateway)
    answer = await open_gateway.http.put(f"/v1/integrations/{key}/secrets", json={"secrets": dict(secrets_of("giphy"))})
    assert answer.json() == {"integration": key, "stored": ["token"]}
    body = {"name": fresh("a"), "integration": key, "parameters": {"server": open_gateway.tieline.systems.server}}
    assert (await open_gateway.http.post("/v1/accounts", json=body)).status_code == 201
    assert (await open_gateway.http.post(f"/v1/accounts/{body['name']}/test")).json()["works"]


async def test_a_binding_is_made_used_and_taken_away(open_gateway: Gateway) -> None:
    profile, binding = fresh("profile"), {"account": "crm"}
    bound = await open_gateway.http.put(f"/v1/profiles/{profile}/adapters/sales", json=binding)
    assert bound.json()["adapters"]["sales"] == {"account": "crm", "per_subject": False}
    assert (await open_gateway.http.get("/v1/accounts/crm")).json()["bound_in"].count(f"{profile}/sales") == 1
    assert (await open_gateway.http.delete("/v1/accounts/crm")).status_code == 422
    assert (await open_gateway.http.delete(f"/v1/profiles/{profile}/adapters/sales")).status_code == 204
    assert (await open_gateway.http.get(f"/v1/profiles/{profile}")).json()["adapters"] == {}


async def test_a_subject_is_bound_alone(open_gateway: Gateway) -> None:
    profile = fresh("profile")
    path = f"/v1/profiles/{profile}/adapters/sales"
    bound = await open_gateway.http.put(path, json={"account": "crm", "subject": "ann"})
    assert bound.json()["adapters"]["sales"] == {"account": None, "per_subject": True}
    operation = {"adapter": "sales", "path": "/"}
    ann = {"operation": operation, "profile": profile, "subject": "ann"}
    bob = {"operation": operation, "profile": profile, "subject": "bob"}
    assert (await open_gateway.http.post("/v1/runs", json=ann)).status_code == 202
    assert (await open_gateway.http.post("/v1/runs", json=bob)).json()["category"] == "unbound"
    assert (await open_gateway.http.delete(path, params={"subject": "ann"})).status_code == 204
    assert (await open_gateway.http.post("/v1/runs", json=ann)).json()["category"] == "unbound"


async def test_adapters_that_are_bound_at_the_same_time_are_all_bound(open_gateway: Gateway) -> None:
    profile = fresh("profile")
    await asyncio.gather(
        *(open_gateway.http.put(f"/v1/profiles/{profile}/adapters/a{n}", json={"account": "crm"}) for n in range(12))
    )
    adapters = (await open_gateway.http.get(f"/v1/profiles/{profile}")).json()["adapters"]
    assert sorted(adapters) == sorted(f"a{n}" for n in range(12))


async def test_a_variable_is_set(open_gateway: Gateway) -> None:
    profile = fresh("profile")
    answer = await open_gateway.http.put(f"/v1/profiles/{profile}/variables/region", json={"value": "eu"})
    assert answer.json()["variables"] == {"region": "eu"}
    listed = (await open_gateway.http.get("/v1/profiles")).json()["profiles"]
    assert profile in [each["name"] for each in listed]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("GET", "/v1/accounts/crmm", None, 404, "did you mean 'crm'"),
        ("GET", "/v1/integrations/crmm", None, 404, "did you mean 'crm'"),
        ("GET", "/v1/profiles/productoin", None, 404, "did you mean 'production'"),
        ("POST", "/v1/accounts", TAKEN, 409, "exists already"),
        ("POST", "/v1/accounts", {"name": "new", "integration": "nothing"}, 404, "no integration 'nothing'"),
        ("POST", "/v1/accounts", {"name": "new", "integration": "giphy"}, 422, "needs parameter 'server'"),
        ("POST", "/v1/accounts", {"name": "a b", "integration": "giphy"}, 422, "letters, digits"),
        ("PUT", "/v1/accounts/crm/secrets", {"secrets": {}}, 422, "body.secrets"),
        ("PUT", "/v1/profiles/dev/adapters/x", {"account": "nobody"}, 404, "no account 'nobody'"),
        ("PUT", "/v1/profiles/dev/adapters/a.b", {"account": "crm"}, 422, "a name in the URL cannot be"),
        ("PUT", "/v1/profiles/production/adapters/crm", {"account": "crm", "subject": "ann"}, 422, "for everybody"),
        ("DELETE", "/v1/profiles/production/adapters/crn", None, 422, "Did you mean 'crm'"),
    ],
)
async def test_what_cannot_be_done_is_told_with_what_can(
    open_gateway: Gateway, method: str, path: str, body: Any, status: int, told: str
) -> None:
    answer = await open_gateway.http.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert told in answer.json()["detail"]


MANAGED = [
    ("GET", "/v1/integrations"),
    ("GET", "/v1/integrations/crm"),
    ("PUT", "/v1/integrations/crm/secrets"),
    ("GET", "/v1/accounts"),
    ("POST", "/v1/accounts"),
    ("GET", "/v1/accounts/crm"),
    ("PUT", "/v1/accounts/crm/secrets"),
    ("POST", "/v1/accounts/crm/test"),
    ("POST", "/v1/accounts/crm/refresh"),
    ("POST", "/v1/accounts/crm/connect"),
    ("GET", f"/v1/accounts/crm/connect/{'0' * 32}"),
    ("POST", "/v1/accounts/crm/disconnect"),
    ("DELETE", "/v1/accounts/crm"),
    ("GET", "/v1/profiles"),
    ("GET", "/v1/profiles/production"),
    ("PUT", "/v1/profiles/production/adapters/crm"),
    ("DELETE", "/v1/profiles/production/adapters/crm"),
    ("PUT", "/v1/profiles/production/variables/x"),
    ("POST", "/v1/definitions"),
    ("GET", "/v1/definitions/schema"),
]


@pytest.mark.parametrize(("method", "path"), MANAGED)
async def test_whoever_may_not_manage_is_refused(closed_gateway: Gateway, method: str, path: str) -> None:
    headers = await closed_gateway.token(*[scope for scope in Scope if scope is not Scope.MANAGE])
    assert (await closed_gateway.http.request(method, path, headers=headers)).status_code == 403
    assert (await closed_gateway.http.request(method, path)).status_code == 401


async def test_every_route_of_the_api_is_tried_without_a_token(closed_gateway: Gateway) -> None:
    paths = (await closed_gateway.http.get("/openapi.json")).json()["paths"]
    answers = {
        (method, path): (await closed_gateway.http.request(method, path.replace("{run_id}", RUN))).status_code
        for path, methods in paths.items()
        for method in methods
    }
    assert set(answers.values()) == {401}
    assert len(answers) >= 26

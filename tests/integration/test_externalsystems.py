"""The external systems of the examples, over real HTTP."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from examples.externalsystems import Systems, serve
from examples.externalsystems.accepted import BANK, CRM, GIPHY, SYSTEMS, TWITTER
from examples.externalsystems.tokens import TokenBook
from tests.fixtures.http import NO_TLS
from tests.fixtures.waiting import until

TOKEN_FORM = {"grant_type": "client_credentials"}


@pytest_asyncio.fixture(scope="module")
async def systems() -> AsyncIterator[Systems]:
    async with serve() as systems:
        yield systems


@pytest_asyncio.fixture
async def web(systems: Systems) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=systems.base_url, trust_env=False, verify=NO_TLS) as client:
        yield client


@pytest_asyncio.fixture
async def flaky(systems: Systems) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=systems.flaky_url + "/flaky", trust_env=False, verify=NO_TLS) as client:
        yield client


async def twitter_token(web: httpx2.AsyncClient, profile: str) -> dict[str, str]:
    reply = await web.post("/twitter/oauth2/token", data={**TOKEN_FORM, **TWITTER[profile].secrets})
    return {"Authorization": f"Bearer {reply.json()['access_token']}"}


async def bank_token(web: httpx2.AsyncClient, profile: str) -> dict[str, str]:
    session = (await web.post("/bank/login", json=dict(BANK[profile].secrets))).json()["session"]["id"]
    access = (await web.post("/bank/exchange", json={"session": session})).json()["access"]
    return {"Authorization": f"Bearer {access['token']}"}


# Twitter


async def test_twitter_issues_a_bearer_token_to_a_client_that_names_itself_in_the_body(web: httpx2.AsyncClient) -> None:
    reply = await web.post("/twitter/oauth2/token", data={**TOKEN_FORM, **TWITTER["dev"].secrets})

    body = reply.json()
    assert reply.status_code == 200
    assert body["access_token"].startswith("demo-token-")
    assert (body["token_type"], body["expires_in"]) == ("bearer", 7200)
    assert reply.headers["cache-control"] == "no-store"


async def test_twitter_issues_a_bearer_token_to_a_client_that_names_itself_by_basic(web: httpx2.AsyncClient) -> None:
    secrets = TWITTER["dev"].secrets

    reply = await web.post(
        "/twitter/oauth2/token", data=TOKEN_FORM, auth=(secrets["client_id"], secrets["client_secret"])
    )

    assert reply.status_code == 200


async def test_twitter_refuses_a_wrong_client(web: httpx2.AsyncClient) -> None:
    wrong = {**TOKEN_FORM, "client_id": TWITTER["dev"].secrets["client_id"], "client_secret": "another"}

    reply = await web.post("/twitter/oauth2/token", data=wrong)

    assert (reply.status_code, reply.json()) == (401, {"error": "invalid_client"})
    assert reply.headers["www-authenticate"].startswith("Basic")


async def test_twitter_refuses_a_client_that_authenticates_in_two_ways(web: httpx2.AsyncClient) -> None:
    secrets = TWITTER["dev"].secrets
    pair = (secrets["client_id"], secrets["client_secret"])

    reply = await web.post("/twitter/oauth2/token", data={**TOKEN_FORM, **secrets}, auth=pair)

    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


async def test_twitter_refuses_another_grant(web: httpx2.AsyncClient) -> None:
    reply = await web.post("/twitter/oauth2/token", data={"grant_type": "password", **TWITTER["dev"].secrets})

    assert (reply.status_code, reply.json()["error"]) == (400, "unsupported_grant_type")


async def test_twitter_shows_each_tenant_its_own_tweets(web: httpx2.AsyncClient) -> None:
    dev, production = await twitter_token(web, "dev"), await twitter_token(web, "production")

    posted = await web.post("/twitter/2/tweets", json={"text": "only in dev"}, headers=dev)
    in_dev = await web.get("/twitter/2/tweets/search", params={"query": "ONLY"}, headers=dev)
    in_production = await web.get("/twitter/2/tweets/search", params={"query": "ONLY"}, headers=production)

    assert posted.status_code == 201
    assert in_dev.json()["account"] == "tieline_dev"
    assert [tweet["text"] for tweet in in_dev.json()["data"]] == ["only in dev"]
    assert in_production.json() == {"account": "tieline", "data": [], "meta": {"result_count": 0}}


async def test_twitter_refuses_a_token_that_it_did_not_issue(web: httpx2.AsyncClient) -> None:
    reply = await web.get(
        "/twitter/2/tweets/search", params={"query": "x"}, headers={"Authorization": "Bearer demo-token-of-nobody"}
    )

    assert reply.status_code == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


async def test_revoked_tokens_are_refused_from_then_on(web: httpx2.AsyncClient) -> None:
    token = await twitter_token(web, "dev")

    revoked = await web.post("/_revoke/twitter")
    reply = await web.get("/twitter/2/tweets/search", params={"query": "x"}, headers=token)

    assert (revoked.status_code, reply.status_code) == (204, 401)


async def test_token_requests_are_counted_by_account(web: httpx2.AsyncClient, systems: Systems) -> None:
    path = "/twitter/oauth2/token"
    before = len(systems.ledger.requests(path, account="tieline"))

    await twitter_token(web, "production")
    await twitter_token(web, "dev")

    assert len(systems.ledger.requests(path, account="tieline")) == before + 1


# GIPHY


async def test_giphy_finds_gifs_for_the_account_of_the_key(web: httpx2.AsyncClient) -> None:
    key = GIPHY["production"].secrets["token"]

    reply = await web.get("/giphy/v1/gifs/search", params={"api_key": key, "q": "otter"})

    assert reply.json()["account"] == "giphy-live"
    assert [gif["title"] for gif in reply.json()["data"]] == ["otter 1", "otter 2"]


async def test_giphy_refuses_a_request_without_a_key(web: httpx2.AsyncClient) -> None:
    reply = await web.get("/giphy/v1/gifs/search", params={"q": "otter"})

    assert (reply.status_code, reply.json()["meta"]["status"]) == (401, 401)


async def test_giphy_refuses_a_wrong_key(web: httpx2.AsyncClient) -> None:
    reply = await web.get("/giphy/v1/gifs/search", params={"api_key": "another", "q": "otter"})

    assert (reply.status_code, reply.json()["meta"]["status"]) == (403, 403)


# CRM


async def test_the_crm_keeps_the_leads_that_it_is_given(web: httpx2.AsyncClient, systems: Systems) -> None:
    secrets = CRM["production"].secrets
    pair = (secrets["username"], secrets["password"])

    created = await web.post("/crm/leads", json={"name": "Ada", "email": "ada@example.com"}, auth=pair)
    listed = await web.get("/crm/leads", auth=pair)

    assert created.status_code == 201
    assert created.json()["lead"] in listed.json()["leads"]
    assert listed.json()["account"] == "sales"
    assert systems.ledger.effects("ada@example.com") == 1


async def test_a_lead_that_is_sent_twice_is_in_the_crm_twice(web: httpx2.AsyncClient, systems: Systems) -> None:
    secrets = CRM["dev"].secrets
    pair, lead = (secrets["username"], secrets["password"]), {"name": "Bob", "email": "bob@example.com"}

    await web.post("/crm/leads", json=lead, auth=pair, headers={"Idempotency-Key": "one"})
    await web.post("/crm/leads", json=lead, auth=pair, headers={"Idempotency-Key": "one"})

    assert systems.ledger.effects("bob@example.com") == 2


async def test_the_crm_asks_for_basic_authentication(web: httpx2.AsyncClient) -> None:
    reply = await web.get("/crm/leads")

    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Basic realm=")


async def test_the_crm_refuses_a_lead_without_an_email(web: httpx2.AsyncClient) -> None:
    secrets = CRM["dev"].secrets

    reply = await web.post("/crm/leads", json={"name": "Eve"}, auth=(secrets["username"], secrets["password"]))

    assert (reply.status_code, reply.json()) == (422, {"error": "email must be a text"})


# Bank


async def test_the_bank_gives_a_token_for_a_session_and_shows_the_accounts(web: httpx2.AsyncClient) -> None:
    reply = await web.get("/bank/accounts", headers=await bank_token(web, "production"))

    assert reply.json()["account"] == "bank-live"
    assert reply.json()["accounts"][0]["id"] == "checking"


async def test_the_bank_refuses_a_wrong_password(web: httpx2.AsyncClient) -> None:
    reply = await web.post("/bank/login", json={"username": "demo-bank-dev", "password": "another"})

    assert reply.status_code == 401


async def test_a_bank_session_is_exchanged_once(web: httpx2.AsyncClient) -> None:
    session = (await web.post("/bank/login", json=dict(BANK["dev"].secrets))).json()["session"]["id"]

    first = await web.post("/bank/exchange", json={"session": session})
    second = await web.post("/bank/exchange", json={"session": session})

    assert (first.status_code, second.status_code) == (200, 401)
    assert first.json()["access"]["expires_in"] == 60


async def test_a_transfer_sent_again_with_its_key_gets_the_first_answer_and_no_second_effect(
    web: httpx2.AsyncClient, systems: Systems
) -> None:
    headers = {**await bank_token(web, "dev"), "Idempotency-Key": "again"}
    order = {"amount": 1250, "reference": "rent-march"}

    first = await web.post("/bank/transfers", json=order, headers=headers)
    second = await web.post("/bank/transfers", json=order, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert systems.ledger.effects("rent-march") == 1


async def test_a_key_that_was_used_for_another_transfer_is_refused(web: httpx2.AsyncClient, systems: Systems) -> None:
    headers = {**await bank_token(web, "dev"), "Idempotency-Key": "other-body"}

    await web.post("/bank/transfers", json={"amount": 1, "reference": "rent-april"}, headers=headers)
    reply = await web.post("/bank/transfers", json={"amount": 2, "reference": "rent-may"}, headers=headers)

    assert reply.status_code == 422
    assert systems.ledger.effects("rent-may") == 0


async def test_a_key_whose_first_transfer_is_at_work_is_a_conflict(web: httpx2.AsyncClient, systems: Systems) -> None:
    headers = {**await bank_token(web, "dev"), "Idempotency-Key": "slow"}
    order = {"amount": 1, "reference": "slow-transfer", "processing_seconds": 1}
    arrived = len(systems.ledger.requests("/bank/transfers")) + 1

    first = asyncio.create_task(web.post("/bank/transfers", json=order, headers=headers))
    await until(lambda: len(systems.ledger.requests("/bank/transfers")) == arrived)
    second = await web.post("/bank/transfers", json=order, headers=headers)

    assert second.status_code == 409
    assert (await first).status_code == 201
    assert systems.ledger.effects("slow-transfer") == 1


async def test_two_tenants_may_use_the_same_key(web: httpx2.AsyncClient, systems: Systems) -> None:
    order = {"amount": 1, "reference": "same-key"}

    for profile in ("dev", "production"):
        headers = {**await bank_token(web, profile), "Idempotency-Key": "shared"}
        await web.post("/bank/transfers", json=order, headers=headers)

    assert systems.ledger.effects("same-key") == 2


def test_a_token_serves_for_its_lifetime_and_no_longer() -> None:
    now = 100.0
    book = TokenBook("demo-token-", 60, clock=lambda: now)
    token = book.issue("bank-dev")

    now = 159.9
    before = book.account_of(token)
    now = 160.0
    after = book.account_of(token)

    assert (before, after) == ("bank-dev", None)


# Observing


async def test_the_ledger_tells_names_and_effects_over_http(web: httpx2.AsyncClient, flaky: httpx2.AsyncClient) -> None:
    await flaky.put("/ok/parcel-seen?color=red", headers={"X-Api-Key": "demo-hidden", "Idempotency-Key": "seen"})

    ledger = (await web.get("/_ledger", params={"path": "/flaky/ok/parcel-seen"})).json()
    effects = (await web.get("/_effects/parcel-seen")).json()

    (entry,) = ledger["requests"]
    assert (entry["method"], entry["query"], entry["idempotency_key"]) == ("PUT", ["color"], "seen")
    assert (entry["effect"], entry["resource"], entry["status"]) == (True, "parcel-seen", 200)
    assert "x-api-key" in entry["headers"]
    assert effects == {"name": "parcel-seen", "effects": 1}


async def test_the_ledger_holds_no_secret(web: httpx2.AsyncClient) -> None:
    await web.get("/twitter/2/tweets/search", params={"query": "x"}, headers=await twitter_token(web, "dev"))
    await web.get("/bank/accounts", headers=await bank_token(web, "production"))
    await web.get("/giphy/v1/gifs/search", params={"q": "x", "api_key": GIPHY["dev"].secrets["token"]})

    text = (await web.get("/_ledger")).text

    secrets = [
        value for tenants in SYSTEMS.values() for tenant in tenants.values() for value in tenant.secrets.values()
    ]
    assert [value for value in [*secrets, "demo-token-", "demo-session-"] if json.dumps(value)[1:-1] in text] == []


async def test_everything_below_a_path_is_found_by_its_slash(systems: Systems, flaky: httpx2.AsyncClient) -> None:
    await flaky.post("/204/parcel-below")

    below = systems.ledger.requests("/flaky/204/")

    assert [entry.path for entry in below] == ["/flaky/204/parcel-below"]


# Serving


async def test_systems_end_while_requests_wait() -> None:
    async with serve() as systems, httpx2.AsyncClient(trust_env=False, verify=NO_TLS) as client:
        waiting = asyncio.create_task(client.post(f"{systems.flaky_url}/flaky/ok:wait=600/parcel-forgotten"))
        await until(lambda: systems.ledger.effects("parcel-forgotten") == 1)
        systems_end = time.monotonic()

    with pytest.raises(httpx2.TransportError):
        await waiting
    assert time.monotonic() - systems_end < 30


async def test_the_process_announces_its_addresses_and_ends_when_told(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.externalsystems", "--port", "0", "--ready-file", str(ready)
    )
    try:
        await until(ready.exists)
        addresses = json.loads(ready.read_text())
        async with httpx2.AsyncClient(trust_env=False, verify=NO_TLS) as client:
            here = await client.get(addresses["base_url"] + "/_ledger")
            there = await client.get(addresses["flaky_url"] + "/flaky/ok/hello")
    finally:
        process.terminate()
        status = await process.wait()

    assert (here.status_code, there.status_code, status) == (200, 200, 0)

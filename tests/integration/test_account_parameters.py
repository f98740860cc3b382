"""The parameters of an account reach its test call and its token requests, not only the calls of apps."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio
import yaml

from definitions.loading import load_text
from runtime.account_test import NothingToTest, Outcome, try_account
from runtime.assembly import Stores, open_stores
from runtime.settings import Settings
from tests.fixtures.http import FaultServer

TOKEN = b'{"access_token": "t0k-en-of-the-tenant", "expires_in": 3600}'


@pytest_asyncio.fixture
async def stores(tmp_path: Path, http_server: FaultServer) -> AsyncIterator[Stores]:
    settings = Settings(data_dir=tmp_path, egress_allow=[f"127.0.0.1:{http_server.port}"])
    async with open_stores(settings) as opened:
        yield opened


async def outcome_of(stores: Stores, server: FaultServer, values: dict[str, str], **fields: Any) -> Outcome:
    """Define an integration like this, create an account of it, and make its test call."""
    await define(stores, server, **fields)
    secrets = {"client_id": "client-1", "client_secret": "planted-client-secret"} if "auth" in fields else {}
    await stores.accounts.create("main", "crm", values, secrets)
    return await try_account(stores, "main")


async def define(stores: Stores, server: FaultServer, **fields: Any) -> None:
    base = {
        "kind": "integration",
        "key": "crm",
        "name": "CRM",
        "base_url": f"{server.url}/v1",
        "auth": {"type": "none"},
    }
    await stores.definitions.apply(load_text(yaml.safe_dump(base | fields), "crm.yaml"))


async def test_a_test_call_goes_where_the_account_s_parameters_say(stores: Stores, http_server: FaultServer) -> None:
    http_server.reply("/v1/tenants/a%2Fb/me", body=b"{}", headers=[("Content-Type", "application/json")])

    outcome = await outcome_of(
        stores,
        http_server,
        {"tenant": "a/b"},
        parameters={"tenant": {}, "region": {"default": "eu & us"}},
        test={"path": "tenants/{tenant}/me", "query": {"region": "{region}"}},
    )

    assert outcome.told == "answered 200"
    [request] = http_server.to("/v1/tenants/a%2Fb/me")
    assert request.query == [("region", "eu & us")]


async def test_a_test_call_that_cannot_be_filled_says_which_parameter_is_missing(
    stores: Stores, http_server: FaultServer
) -> None:
    await outcome_of(stores, http_server, {}, test={"path": "me"})
    await define(stores, http_server, test={"path": "{tenant}/me"}, parameters={"tenant": {}})

    with pytest.raises(
        NothingToTest, match=r"account 'main': its test call cannot be made: nothing fills .*\{tenant\}"
    ):
        await try_account(stores, "main")


async def test_a_scope_names_the_account_s_own_server(stores: Stores, http_server: FaultServer) -> None:
    http_server.reply("/token", body=TOKEN, headers=[("Content-Type", "application/json")])
    http_server.reply("/v1/me")
    auth = {
        "type": "oauth2",
        "grant": "client_credentials",
        "token": {"endpoint": f"{http_server.url}/token"},
        "scopes": ["https://{org}.crm.example/.default", "offline"],
    }

    outcome = await outcome_of(
        stores, http_server, {"org": "acme"}, auth=auth, parameters={"org": {}}, test={"path": "me"}
    )

    assert outcome.told == "answered 200"
    [request] = http_server.to("/token")
    assert parse_qs(request.body.decode())["scope"] == ["https://acme.crm.example/.default offline"]


async def test_a_pattern_that_was_narrowed_counts_for_accounts_that_were_there_before(
    stores: Stores, http_server: FaultServer
) -> None:
    wide = {"parameters": {"host": {"pattern": ".*"}}, "base_url": f"http://{{host}}:{http_server.port}"}
    await outcome_of(stores, http_server, {"host": "127.0.0.1"}, **wide, test={"path": "me"})
    before = len(http_server.to("/me"))
    await define(stores, http_server, **wide | {"parameters": {"host": {"pattern": "[a-z]+"}}}, test={"path": "me"})

    outcome = await try_account(stores, "main")

    assert outcome.failure is not None
    assert (outcome.failure.category, outcome.failure.verdict) == ("misconfigured", "final")
    assert "parameter host of account 'main' does not match the pattern that integration 'crm' has now" in outcome.told
    assert "127.0.0.1" not in outcome.told
    assert len(http_server.to("/me")) == before == 1

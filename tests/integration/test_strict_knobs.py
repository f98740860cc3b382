"""What real providers want otherwise, each through connect, renewal and disconnect at the strict server."""

from typing import Any

import pytest

from auth.connect_error import ConnectError, Fault
from auth.errors import NeedsReconnect
from tests.fixtures.authorization_server import AUTHORIZE, RENEW, REVOKE, TOKEN, instead, said_as
from tests.fixtures.client_keys import PRIVATE_PEM, PUBLIC_PEM
from tests.fixtures.consented import Connecting, authorization_code
from tests.fixtures.refreshing import CLIENT
from tests.fixtures.token_endpoint import refusal

SIX_WAYS = [
    pytest.param("body", "client_secret_post", CLIENT, id="body"),
    pytest.param("basic", "client_secret_basic", CLIENT, id="basic"),
    pytest.param("none", "none", {"client_id": "client-1"}, id="none"),
    pytest.param("secret_as_username", "secret_as_username", CLIENT, id="secret-as-username"),
    pytest.param("client_secret_jwt", "client_secret_jwt", CLIENT, id="client-secret-jwt"),
    pytest.param(
        "private_key_jwt",
        "private_key_jwt",
        {"client_id": "client-1", "private_key": PRIVATE_PEM},
        id="private-key-jwt",
    ),
]


async def through_its_life(connecting: Connecting, secrets: dict[str, str] = CLIENT, **auth: Any) -> None:
    """Connected, renewed and disconnected, each time to the server's content."""
    bench, server = connecting.bench, connecting.server
    opened = await bench.connect(authorization_code(server, **auth), secrets)
    await connecting.browser().connect()
    first = await bench.stored(opened)
    await bench.expire(opened)
    state = await bench.process().ensure(opened)
    assert state.token != first.token
    assert server.memory.honours(state.token)
    assert (server.memory.redemptions, server.memory.reuses) == (1, 0)
    told = await connecting.disconnector.disconnect("main")
    assert told.revoked, told.told
    assert server.newest.family.revoked


@pytest.mark.parametrize(("client_auth", "registered", "secrets"), SIX_WAYS)
async def test_a_client_proves_itself_in_the_way_that_it_is_registered_for(
    sqlite_connecting: Connecting, client_auth: str, registered: str, secrets: dict[str, str]
) -> None:
    sqlite_connecting.server.client.auth_method = registered
    sqlite_connecting.server.client.public_key = PUBLIC_PEM
    token = {"endpoint": sqlite_connecting.server.url + TOKEN, "client_auth": client_auth}
    await through_its_life(sqlite_connecting, secrets, token=token)


@pytest.mark.parametrize(
    ("wanted", "stage"),
    [
        pytest.param("json", {"format": "json", "client_auth": "body"}, id="json"),
        pytest.param("query", {"format": "query", "client_auth": "body"}, id="query"),
        pytest.param("query", {"verb": "GET"}, id="get"),
    ],
)
async def test_a_token_request_comes_in_the_form_that_the_provider_reads(
    sqlite_connecting: Connecting, wanted: Any, stage: dict[str, str]
) -> None:
    server = sqlite_connecting.server
    server.token_format = wanted
    server.client.auth_method = "client_secret_post" if "client_auth" in stage else "client_secret_basic"
    await through_its_life(sqlite_connecting, token={"endpoint": server.url + TOKEN, **stage})


async def test_tokens_are_renewed_where_the_definition_says(sqlite_connecting: Connecting) -> None:
    server = sqlite_connecting.server
    await through_its_life(sqlite_connecting, refresh={"endpoint": server.url + RENEW})
    assert (len(server.to(TOKEN)), len(server.to(RENEW)), len(server.to(REVOKE))) == (1, 1, 1)


async def test_parameters_and_headers_of_one_stage_stay_out_of_the_others(sqlite_connecting: Connecting) -> None:
    server = sqlite_connecting.server
    await through_its_life(
        sqlite_connecting,
        authorize={"endpoint": server.url + AUTHORIZE, "params": {"at_authorize": "1"}},
        token={"endpoint": server.url + TOKEN, "params": {"at_token": "1"}, "headers": {"X-Version": "7"}},
        refresh={"params": {"at_refresh": "1"}},
    )
    extra = {"at_authorize", "at_token", "at_refresh"}
    exchanged, renewed = server.token_requests
    assert extra & dict(server.to(AUTHORIZE)[0].query).keys() == {"at_authorize"}
    assert extra & exchanged.keys() == {"at_token"}
    assert extra & renewed.keys() == {"at_refresh"}
    assert [received.header("X-Version") for received in (*server.to(TOKEN), *server.to(AUTHORIZE))] == ["7", "7", None]


async def test_tokens_lifetimes_and_scopes_are_read_where_the_provider_writes_them(
    sqlite_connecting: Connecting,
) -> None:
    def otherwise(body: dict[str, Any]) -> dict[str, Any]:
        tokens = {"value": body["access_token"], "renew": body["refresh_token"]}
        return {"data": {**tokens, "ms": 7_200_000, "granted": ["read", "more"]}}

    bench, server = sqlite_connecting.bench, sqlite_connecting.server
    server.fault(TOKEN, said_as(otherwise), said_as(otherwise))
    paths = {"token": "data.value", "refresh_token": "data.renew", "expires_in": "data.ms", "scope": "data.granted"}
    await through_its_life(sqlite_connecting, response={**paths, "expires_unit": "ms"})
    row = await bench.row(await bench.open())
    assert row.issued_at is not None
    assert row.access_expires_at == row.issued_at + 7200


async def test_an_error_inside_a_200_is_found_where_the_provider_writes_it(sqlite_connecting: Connecting) -> None:
    bench, server = sqlite_connecting.bench, sqlite_connecting.server
    opened = await sqlite_connecting.create(response={"error": "problem.word"})
    await sqlite_connecting.browser().connect()
    await bench.expire(opened)
    server.fault(TOKEN, instead(refusal(200, None, problem={"word": "invalid_grant"})))
    with pytest.raises(NeedsReconnect, match="invalid_grant"):
        await bench.process().ensure(opened)


async def test_a_client_of_the_account_s_own_goes_before_the_integration_s(sqlite_connecting: Connecting) -> None:
    bench, server = sqlite_connecting.bench, sqlite_connecting.server
    await bench.define(authorization_code(server), key="shared")
    await bench.accounts.set_integration_secrets("shared", {"client_id": "another", "client_secret": "planted-other"})
    await bench.accounts.create("main", "shared", {}, CLIENT)
    await bench.accounts.create("theirs", "shared", {}, {})
    await sqlite_connecting.browser().connect()
    assert server.newest.client_id == "client-1"
    server.client.client_id = "another"
    server.client.client_secret = "planted-other"
    server.memory.clients = {"another": server.client}
    await sqlite_connecting.browser().connect("theirs")
    assert server.newest.client_id == "another"


async def test_a_server_that_wants_pkce_gets_nothing_from_a_client_that_leaves_it_out(
    sqlite_connecting: Connecting,
) -> None:
    server = sqlite_connecting.server
    await sqlite_connecting.create(authorize={"endpoint": server.url + AUTHORIZE, "pkce": False})
    browser = sqlite_connecting.browser()
    query = await browser.go(await sqlite_connecting.invite())
    with pytest.raises(ConnectError) as caught:
        await sqlite_connecting.connector.finish(query, browser.cookie)
    assert caught.value.fault is Fault.PROVIDER
    assert server.token_requests == []

"""A call that is answered with 401: one forced renewal for each version of the token, then the call once more."""

import asyncio
import json

import pytest

from activities.http import HttpActivities
from activities.parking import CallFailed
from auth.credential import Credential
from auth.resolver import CredentialResolver
from definitions.loading import load_text
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call
from tests.fixtures.http import Answer, FaultServer, Received, Wire
from tests.fixtures.refreshing import CLIENT, Bench, client_credentials
from tests.fixtures.token_endpoint import TokenEndpoint, token

CALL = Call(
    operation=HttpOperation(method="POST", path="leads"),
    credential=CredentialRef(adapter="main", profile="test"),
    delivery=Delivery.UNSAFE,
    idempotency_key="k",
)


class ByAccount:
    """The adapter's name is the account's."""

    def __init__(self, resolver: CredentialResolver) -> None:
        self._resolver = resolver

    async def resolve(self, ref: CredentialRef) -> Credential:
        return await self._resolver.resolve_account(ref.adapter)

    async def renew(self, credential: Credential) -> Credential:
        return await self._resolver.renew(credential)


@pytest.fixture
async def calls(sqlite_bench: Bench, endpoint: TokenEndpoint, token_server: FaultServer) -> HttpActivities:
    """Calls through an account whose API is at `/leads` of the token endpoint's server."""
    auth = client_credentials(endpoint.url)
    document = {"kind": "integration", "key": "api", "name": "API", "base_url": token_server.url, "auth": auth}
    await sqlite_bench.definitions.apply(load_text(json.dumps(document), "test.yaml"))
    await sqlite_bench.accounts.create("main", "api", {}, CLIENT)
    return HttpActivities(ByAccount(sqlite_bench.resolver()), sqlite_bench.resolver(), sqlite_bench.http)


def accepts(server: FaultServer, accepted: str) -> None:
    async def leads(received: Received, wire: Wire) -> Answer:
        return Answer(200 if received.header("Authorization") == f"Bearer {accepted}" else 401, b"")

    server.on("/leads", leads)


async def test_a_refused_token_is_renewed_and_the_call_made_once_more(
    calls: HttpActivities, endpoint: TokenEndpoint, token_server: FaultServer
) -> None:
    endpoint.answer(token("first"), token("second"))
    accepts(token_server, "second")
    result = await calls.make(CALL)
    assert (result.status, result.token_version) == (200, 2)
    assert (len(endpoint.requests), len(token_server.to("/leads"))) == (2, 2)


async def test_a_renewed_token_that_is_refused_too_ends_the_call(
    calls: HttpActivities, endpoint: TokenEndpoint, token_server: FaultServer
) -> None:
    endpoint.answer(token("first"), token("second"), token("too-many"))
    accepts(token_server, "none")
    with pytest.raises(CallFailed) as caught:
        await calls.make(CALL)
    assert caught.value.failure.category == "credential_refused"
    assert (len(endpoint.requests), len(token_server.to("/leads"))) == (2, 2)


async def test_many_calls_with_one_refused_token_renew_it_once(
    calls: HttpActivities, endpoint: TokenEndpoint, token_server: FaultServer
) -> None:
    endpoint.answer(token("first"), token("second"), token("too-many"))
    accepts(token_server, "second")
    results = await asyncio.gather(*(calls.make(CALL) for _ in range(10)))
    assert {result.token_version for result in results} == {2}
    assert len(endpoint.requests) == 2

"""What was refused for good is not asked again with every call, until something was put right."""

import pytest

from auth.credential import OpenAccount
from auth.errors import ClientRefused, CredentialError, Misconfigured, NeedsReconnect
from storage.accounts import ACTIVE, NEEDS_RECONNECT
from tests.fixtures.refreshing import LOGIN, Bench, client_credentials, login
from tests.fixtures.token_endpoint import Reaction, TokenEndpoint, refusal, token

REFUSALS = [(refusal(401, "invalid_client"), ClientRefused), (refusal(400, "invalid_scope"), Misconfigured)]


@pytest.fixture
async def refused(bench: Bench, endpoint: TokenEndpoint) -> OpenAccount:
    """An account whose client was refused once, and would be accepted now."""
    endpoint.answer(refusal(401, "invalid_client"), token("first"))
    opened = await bench.connect(client_credentials(endpoint.url))
    with pytest.raises(ClientRefused):
        await bench.process().ensure(opened)
    return opened


@pytest.mark.parametrize(("reaction", "error"), REFUSALS)
async def test_five_calls_of_a_refused_client_make_one_request(
    bench: Bench, endpoint: TokenEndpoint, reaction: Reaction, error: type[CredentialError]
) -> None:
    endpoint.answer(reaction)
    opened = await bench.connect(client_credentials(endpoint.url))
    for _ in range(4):
        with pytest.raises(error):
            await bench.process().ensure(opened)
    with pytest.raises(error, match="not asked again for 60 minutes; tieline accounts refresh main asks now"):
        await bench.process().ensure(opened)
    assert len(endpoint.requests) == 1


async def test_a_refused_client_is_asked_for_again_when_its_time_has_come(bench: Bench, refused: OpenAccount) -> None:
    await bench.set_token_row(refused, refresh_at=1.0)
    assert (await bench.process().ensure(refused)).token == "first"


async def test_a_refused_client_is_asked_for_again_with_another_secret(bench: Bench, refused: OpenAccount) -> None:
    await bench.accounts.set_secrets("main", {"client_secret": "planted-client-secret-2"})
    assert (await bench.process().ensure(await bench.open())).token == "first"


async def test_a_refused_request_is_made_again_with_another_definition(
    bench: Bench, refused: OpenAccount, endpoint: TokenEndpoint
) -> None:
    await bench.define(client_credentials(endpoint.url, {"scopes": ["read"]}))
    assert (await bench.process().ensure(await bench.open())).token == "first"


async def test_a_person_who_asks_makes_a_request(bench: Bench, refused: OpenAccount) -> None:
    credential = await bench.resolver().resolve_account("main")
    assert credential.values["token"].reveal() == "first"


async def test_a_dead_account_is_tried_again_with_a_corrected_definition(bench: Bench, endpoint: TokenEndpoint) -> None:
    endpoint.answer(refusal(400, "invalid_grant"), token("first"))
    opened = await bench.connect(login(endpoint.url), LOGIN)
    with pytest.raises(NeedsReconnect):
        await bench.process().ensure(opened)
    assert (await bench.account(opened)).state == NEEDS_RECONNECT

    await bench.define(login(endpoint.url, lifetime="30m"))

    assert (await bench.process().ensure(await bench.open())).token == "first"
    account = await bench.account(opened)
    assert (account.state, account.cause) == (ACTIVE, None)


async def test_a_corrected_definition_that_is_refused_too_leaves_the_account_dead(
    bench: Bench, endpoint: TokenEndpoint
) -> None:
    endpoint.answer(refusal(400, "invalid_grant"))
    opened = await bench.connect(login(endpoint.url), LOGIN)
    with pytest.raises(NeedsReconnect):
        await bench.process().ensure(opened)
    await bench.define(login(endpoint.url, lifetime="30m"))
    for _ in range(2):
        with pytest.raises(NeedsReconnect):
            await bench.process().ensure(await bench.open())
    assert ((await bench.account(opened)).state, len(endpoint.requests)) == (NEEDS_RECONNECT, 2)

"""Every way in which a client proves itself, and the grants that need nobody's consent, at the strict server."""

from typing import Any

import pytest

from auth.errors import ClientRefused, Misconfigured, NeedsReconnect
from tests.fixtures.authorization_server import TOKEN, StrictServer
from tests.fixtures.client_keys import PRIVATE_PEM, PUBLIC_PEM
from tests.fixtures.refreshing import Bench, client_credentials


def jwt_bearer(server: StrictServer, **jwt: Any) -> dict[str, Any]:
    return {
        "type": "oauth2",
        "grant": "jwt_bearer",
        "token": {"endpoint": server.url + TOKEN, "client_auth": "none"},
        "scopes": ["read"],
        "jwt": {"issuer": "{client_id}", **jwt},
    }


async def test_another_way_than_the_registered_one_is_told_as_the_client_s_fault(
    sqlite_bench: Bench, strict_server: StrictServer
) -> None:
    opened = await sqlite_bench.connect(client_credentials(strict_server.url + TOKEN, client_auth="body"))
    with pytest.raises(ClientRefused):
        await sqlite_bench.process().ensure(opened)


async def test_a_signed_assertion_brings_a_token_each_time_anew(
    sqlite_bench: Bench, strict_server: StrictServer
) -> None:
    strict_server.client.public_key = PUBLIC_PEM
    secrets = {"client_id": "client-1", "private_key": PRIVATE_PEM}
    opened = await sqlite_bench.connect(jwt_bearer(strict_server, subject="ann", key_id="k-1"), secrets)
    first = await sqlite_bench.process().ensure(opened)
    await sqlite_bench.expire(opened)
    second = await sqlite_bench.process().ensure(opened)
    assert strict_server.memory.honours(first.token)
    assert strict_server.memory.honours(second.token)
    assert strict_server.newest.family.user == "ann"
    assert len(strict_server.memory.assertions) == 2


async def test_an_assertion_for_somebody_else_s_ears_is_refused(
    sqlite_bench: Bench, strict_server: StrictServer
) -> None:
    strict_server.client.public_key = PUBLIC_PEM
    secrets = {"client_id": "client-1", "private_key": PRIVATE_PEM}
    opened = await sqlite_bench.connect(jwt_bearer(strict_server, audience="https://other.example"), secrets)
    with pytest.raises(NeedsReconnect, match="invalid_grant"):
        await sqlite_bench.process().ensure(opened)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        pytest.param("ES256", PRIVATE_PEM, id="rsa-key-for-es256"),
        pytest.param("RS256", "no key at all", id="no-key"),
        pytest.param("HS256", "short", id="short-secret"),
    ],
)
async def test_a_key_that_does_not_fit_is_named_and_nothing_is_sent(
    sqlite_bench: Bench, strict_server: StrictServer, algorithm: str, key: str
) -> None:
    opened = await sqlite_bench.connect(
        jwt_bearer(strict_server, algorithm=algorithm), {"client_id": "client-1", "private_key": key}
    )
    with pytest.raises(Misconfigured, match="private_key"):
        await sqlite_bench.process().ensure(opened)
    assert strict_server.token_requests == []

"""Every way in which a client proves itself, and the grants that need nobody's consent, at the strict server."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from auth.credential import OpenAccount
from auth.errors import ClientRefused, Misconfigured, NeedsReconnect
from tests.fixtures.authorization_server import TOKEN, StrictServer
from tests.fixtures.consented import authorization_code, hold
from tests.fixtures.refreshing import CLIENT, Bench, client_credentials

KEY = rsa.generate_private_key(65537, 2048)
PRIVATE_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

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


def jwt_bearer(server: StrictServer, **jwt: Any) -> dict[str, Any]:
    return {
        "type": "oauth2",
        "grant": "jwt_bearer",
        "token": {"endpoint": server.url + TOKEN, "client_auth": "none"},
        "scopes": ["read"],
        "jwt": {"issuer": "{client_id}", **jwt},
    }


@pytest.mark.parametrize(("client_auth", "registered", "secrets"), SIX_WAYS)
async def test_a_refresh_is_made_in_the_way_that_the_client_is_registered_for(
    sqlite_bench: Bench, strict_server: StrictServer, client_auth: str, registered: str, secrets: dict[str, str]
) -> None:
    strict_server.client.auth_method = registered
    strict_server.client.public_key = PUBLIC_PEM
    opened = await _connected(sqlite_bench, strict_server, client_auth, secrets)
    state = await sqlite_bench.process().ensure(opened)
    await sqlite_bench.expire(opened)
    again = await sqlite_bench.process().ensure(opened)
    assert strict_server.memory.honours(state.token)
    assert strict_server.memory.honours(again.token)


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


async def test_parameters_of_one_stage_stay_out_of_the_others(sqlite_bench: Bench, strict_server: StrictServer) -> None:
    token = {"endpoint": strict_server.url + TOKEN, "params": {"only_at_first": "1"}}
    auth = authorization_code(strict_server, token=token, refresh={"params": {"only_at_refresh": "1"}})
    opened = await sqlite_bench.connect(auth)
    await hold(sqlite_bench, opened, "access-0", "refresh-0")
    await sqlite_bench.expire(opened)
    with pytest.raises(NeedsReconnect):
        await sqlite_bench.process().ensure(opened)
    sent = strict_server.token_requests[0]
    assert sent == {"grant_type": "refresh_token", "refresh_token": "refresh-0", "only_at_refresh": "1"}


async def _connected(bench: Bench, server: StrictServer, client_auth: str, secrets: dict[str, str]) -> OpenAccount:
    token = {"endpoint": server.url + TOKEN, "client_auth": client_auth}
    opened = await bench.connect(authorization_code(server, token=token), secrets)
    server.issue("access-0", "refresh-0")
    await hold(bench, opened, "access-0", "refresh-0")
    await bench.expire(opened)
    return opened

"""Whose account it is: what is captured on the way, and that nobody's place is taken unseen."""

import base64
import json
from typing import Any

import pytest

from auth.connect_error import ConnectError, Fault
from storage.accounts import ACTIVE
from tests.fixtures.authorization_server import AUTHORIZE, REVOKE, TOKEN, StrictServer, drop_before, instead, said_as
from tests.fixtures.authorization_server import Fault as Misbehaviour
from tests.fixtures.consented import Browser, Connecting
from tests.fixtures.http import Answer

ME = {"path": "/api/me", "capture": {"user_id": "user.id"}}


async def fault_of(connecting: Connecting, browser: Browser) -> Fault:
    with pytest.raises(ConnectError) as caught:
        await browser.connect()
    return caught.value.fault


async def test_a_reconnect_as_the_same_person_takes_the_row_and_leaves_its_name_and_bindings(
    connecting: Connecting,
) -> None:
    await connecting.create_own(after_connect=ME)
    browser = connecting.browser()
    await browser.connect()
    before = await connecting.bench.accounts.get("main")
    await browser.connect()
    after = await connecting.bench.accounts.get("main")
    stored = await connecting.bench.stored(await connecting.bench.open())
    assert (before.id, before.name, before.created_at) == (after.id, after.name, after.created_at)
    assert stored.refresh_token == connecting.server.newest.refresh_token


async def test_a_reconnect_as_somebody_else_is_refused_and_what_came_is_revoked(connecting: Connecting) -> None:
    await connecting.create_own(after_connect=ME)
    browser = connecting.browser()
    await browser.connect()
    before = await connecting.bench.stored(await connecting.bench.open())
    connecting.server.user = "bob"
    assert await fault_of(connecting, browser) is Fault.OTHER_ACCOUNT
    assert await connecting.bench.stored(await connecting.bench.open()) == before
    assert (await connecting.bench.accounts.get("main")).state == ACTIVE
    assert connecting.server.newest.family.user == "bob"
    assert connecting.server.newest.family.revoked
    assert connecting.server.memory.honours(before.token)


async def test_somebody_else_takes_the_place_when_that_is_confirmed_and_is_then_the_one_who_is_known(
    connecting: Connecting,
) -> None:
    await connecting.create_own(after_connect=ME)
    browser = connecting.browser()
    await browser.connect()
    connecting.server.user = "bob"
    await browser.connect(replaces=True)
    await browser.connect()
    connecting.server.user = "ann"
    assert await fault_of(connecting, browser) is Fault.OTHER_ACCOUNT


async def test_the_call_after_connecting_is_made_with_the_new_token_and_fills_what_calls_use(
    sqlite_connecting: Connecting,
) -> None:
    await sqlite_connecting.create_own(after_connect=ME)
    await sqlite_connecting.browser().connect()
    credential = await sqlite_connecting.bench.resolver().resolve_account("main")
    assert credential.values["user_id"].reveal() == "id-of-ann"
    assert len(sqlite_connecting.server.to("/api/me")) == 1


async def test_what_was_captured_stays_through_refreshes(sqlite_connecting: Connecting) -> None:
    await sqlite_connecting.create_own(after_connect=ME)
    await sqlite_connecting.browser().connect()
    await sqlite_connecting.bench.expire(await sqlite_connecting.bench.open())
    credential = await sqlite_connecting.bench.resolver().resolve_account("main")
    assert credential.values["user_id"].reveal() == "id-of-ann"
    assert credential.token_version == 2


@pytest.mark.parametrize(
    "answer", [Answer(403), Answer(200, b"{}"), Answer(200, b"<h1>Hello</h1>"), Answer(302, b"", [("Location", "//x")])]
)
async def test_a_call_after_connecting_that_brings_nothing_connects_nothing_and_gives_the_grant_back(
    sqlite_connecting: Connecting, answer: Answer
) -> None:
    await sqlite_connecting.create_own(after_connect=ME)
    sqlite_connecting.server.fault("/api/me", instead(answer))
    assert await fault_of(sqlite_connecting, sqlite_connecting.browser()) is Fault.UNIDENTIFIED
    assert sqlite_connecting.server.newest.family.revoked
    assert (await sqlite_connecting.bench.accounts.get("main")).state == "not_connected"


@pytest.mark.parametrize("trouble", [instead(Answer(503)), instead(Answer(429)), drop_before])
async def test_a_call_after_connecting_that_fails_in_passing_is_made_once_more(
    sqlite_connecting: Connecting, trouble: Misbehaviour
) -> None:
    await sqlite_connecting.create_own(after_connect=ME)
    sqlite_connecting.server.fault("/api/me", trouble)
    await sqlite_connecting.browser().connect()
    credential = await sqlite_connecting.bench.resolver().resolve_account("main")
    assert credential.values["user_id"].reveal() == "id-of-ann"


@pytest.mark.parametrize("answer", [Answer(503), Answer(403), Answer(200, b"{}")])
async def test_what_may_be_the_same_person_s_is_not_revoked_while_a_grant_is_in_force(
    connecting: Connecting, answer: Answer
) -> None:
    """At some providers that would end the grant in force as well."""
    await connecting.create_own(after_connect=ME)
    browser = connecting.browser()
    await browser.connect()
    before = await connecting.bench.stored(await connecting.bench.open())
    connecting.server.fault("/api/me", instead(answer), instead(answer))
    assert await fault_of(connecting, browser) is Fault.UNIDENTIFIED
    assert connecting.server.to(REVOKE) == []
    assert await connecting.bench.stored(await connecting.bench.open()) == before


async def test_what_cannot_be_told_apart_is_given_back_when_the_grant_before_is_dead(
    sqlite_connecting: Connecting,
) -> None:
    await sqlite_connecting.create_own(after_connect=ME)
    browser = sqlite_connecting.browser()
    await browser.connect()
    await sqlite_connecting.bench.set_token_row(await sqlite_connecting.bench.open(), state="dead")
    sqlite_connecting.server.fault("/api/me", instead(Answer(403)))
    assert await fault_of(sqlite_connecting, browser) is Fault.UNIDENTIFIED
    assert sqlite_connecting.server.newest.family.revoked


def id_token(subject: object) -> dict[str, str]:
    claims = base64.urlsafe_b64encode(json.dumps({"iss": "i", "sub": subject}).encode()).decode().rstrip("=")
    return {"id_token": f"e30.{claims}.x"}


def with_id_token(subject: object) -> Any:
    return said_as(lambda body: {**body, **id_token(subject)})


async def test_an_id_token_tells_people_apart_without_any_call(sqlite_connecting: Connecting) -> None:
    await sqlite_connecting.create_own()
    browser, server = sqlite_connecting.browser(), sqlite_connecting.server
    server.fault(TOKEN, with_id_token("ann"), with_id_token("ann"), with_id_token("bob"))
    await browser.connect()
    await browser.connect()
    assert await fault_of(sqlite_connecting, browser) is Fault.OTHER_ACCOUNT


@pytest.mark.parametrize(
    ("identity", "refused"), [pytest.param("team", True, id="by-team"), pytest.param("node", False, id="by-node")]
)
async def test_the_definition_may_name_what_tells_people_apart(
    sqlite_connecting: Connecting, identity: str, refused: bool
) -> None:
    await sqlite_connecting.create_own(capture={"token_reply": {"team": "team", "node": "node"}}, identity=identity)
    browser, server = sqlite_connecting.browser(), sqlite_connecting.server
    server.fault(
        TOKEN,
        said_as(lambda body: {**body, "team": "red", "node": "n1"}),
        said_as(lambda body: {**body, "team": "blue", "node": "n1"}),
    )
    await browser.connect()
    if refused:
        assert await fault_of(sqlite_connecting, browser) is Fault.OTHER_ACCOUNT
    else:
        assert (await browser.connect()).renews


TEAM = {"token_reply": {"team": "team"}}
NODE = {"token_reply": {"team": "team", "node": "node"}}


def reply_to(subject: str | None, **captured: str) -> Any:
    claims = id_token(subject) if subject else {}
    return said_as(lambda body: {**body, **claims, **captured})


@pytest.mark.parametrize(
    ("auth", "reply", "another"),
    [
        pytest.param(
            {"capture": TEAM}, reply_to("ann", team="red"), reply_to("bob", team="red"), id="a-subject-is-said-now"
        ),
        pytest.param(
            {"capture": NODE, "identity": "node"},
            reply_to(None, team="blue", node="n1"),
            reply_to(None, team="blue", node="n2"),
            id="an-identity-is-named-now",
        ),
        pytest.param(
            {"capture": NODE},
            reply_to(None, team="red", node="n1"),
            reply_to(None, team="red", node="n2"),
            id="more-is-captured-now",
        ),
    ],
)
async def test_the_same_person_is_let_in_when_something_else_tells_people_apart_and_is_known_by_it_from_then_on(
    connecting: Connecting, auth: dict[str, Any], reply: Misbehaviour, another: Misbehaviour
) -> None:
    await connecting.create_own(capture=TEAM)
    browser, server = connecting.browser(), connecting.server
    server.fault(TOKEN, reply_to(None, team="red"), reply, reply, another)
    await browser.connect()
    await connecting.define_own(**auth)
    await browser.connect()
    await browser.connect()
    assert await fault_of(connecting, browser) is Fault.OTHER_ACCOUNT


async def test_a_subject_that_is_said_now_does_not_let_another_team_in(sqlite_connecting: Connecting) -> None:
    await sqlite_connecting.create_own(capture=TEAM)
    browser, server = sqlite_connecting.browser(), sqlite_connecting.server
    server.fault(TOKEN, reply_to(None, team="red"), reply_to("bob", team="blue"))
    await browser.connect()
    assert await fault_of(sqlite_connecting, browser) is Fault.OTHER_ACCOUNT


@pytest.mark.parametrize(
    "less",
    [
        pytest.param(reply_to(None, team="red"), id="no-subject-any-more"),
        pytest.param(reply_to(None), id="nothing-any-more"),
    ],
)
async def test_a_provider_that_says_less_than_before_lets_nobody_in(
    sqlite_connecting: Connecting, less: Misbehaviour
) -> None:
    await sqlite_connecting.create_own(capture=TEAM)
    browser, server = sqlite_connecting.browser(), sqlite_connecting.server
    server.fault(TOKEN, reply_to("ann", team="red"), less)
    await browser.connect()
    assert await fault_of(sqlite_connecting, browser) is Fault.OTHER_ACCOUNT


@pytest.mark.parametrize(
    ("team", "refused"), [pytest.param("red", False, id="the-same"), pytest.param("blue", True, id="another")]
)
async def test_who_was_stored_without_saying_by_what_is_still_known(
    sqlite_connecting: Connecting, team: str, refused: bool
) -> None:
    await sqlite_connecting.create_own(capture=TEAM)
    browser, server = sqlite_connecting.browser(), sqlite_connecting.server
    server.fault(TOKEN, reply_to(None, team="red"), reply_to("ann", team=team))
    await browser.connect()
    await forget_by_what(sqlite_connecting)
    if refused:
        assert await fault_of(sqlite_connecting, browser) is Fault.OTHER_ACCOUNT
    else:
        assert (await browser.connect()).renews


async def forget_by_what(connecting: Connecting) -> None:
    """As it was stored before."""
    bench = connecting.bench
    opened = await bench.open()
    stored = await bench.record(opened, "identity")
    assert stored is not None
    digest = stored.rpartition(":")[2].encode()
    async with bench.database.write() as connection:
        await bench.vault.put(connection, "tokens", opened.account.id, "identity", 1, digest)


async def test_an_identity_that_does_not_come_connects_nothing(sqlite_connecting: Connecting) -> None:
    await sqlite_connecting.create_own(capture={"token_reply": {"team": "team"}}, identity="team")
    assert await fault_of(sqlite_connecting, sqlite_connecting.browser()) is Fault.UNIDENTIFIED


async def test_endpoints_and_client_authentication_come_from_the_issuer(connecting: Connecting) -> None:
    connecting.server.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    connecting.server.client.auth_method = "client_secret_post"
    await connecting.create_own(issuer=connecting.server.url, authorize=None, token=None, revoke=None)
    await connecting.browser().connect()
    await connecting.bench.expire(await connecting.bench.open())
    await connecting.bench.resolver().resolve_account("main")
    told = await connecting.disconnector.disconnect("main")
    assert told.revoked
    assert connecting.server.memory.redemptions == 1


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param({"issuer": "https://evil.example"}, id="another-issuer"),
        pytest.param({"token_endpoint": None}, id="no-token-endpoint"),
        pytest.param({"token_endpoint": "{client_secret}"}, id="a-template"),
        pytest.param({"token_endpoint": ["x"]}, id="no-text"),
    ],
)
async def test_metadata_that_cannot_be_trusted_lead_nowhere(
    sqlite_connecting: Connecting, strict_server: StrictServer, lie: dict[str, Any]
) -> None:
    strict_server.metadata = lie
    await sqlite_connecting.create_own(issuer=strict_server.url, authorize=None, token=None)
    invitation = await sqlite_connecting.invite()
    with pytest.raises(ConnectError) as caught:
        await sqlite_connecting.browser().follow(invitation)
    assert caught.value.fault is Fault.PROVIDER
    assert strict_server.to(AUTHORIZE) == []


async def test_other_client_secrets_and_another_definition_leave_a_consent_in_force(connecting: Connecting) -> None:
    await connecting.create_own()
    await connecting.browser().connect()
    connecting.server.client.client_secret = "another-planted-secret"
    await connecting.bench.accounts.set_secrets("main", {"client_secret": "another-planted-secret"})
    await connecting.bench.expire(await connecting.bench.open())
    credential = await connecting.bench.resolver().resolve_account("main")
    assert connecting.server.memory.honours(credential.values["token"].reveal())
    assert connecting.server.token_requests[-1]["grant_type"] == "refresh_token"

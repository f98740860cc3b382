"""What comes back from a provider and must not connect anything: refused before any exchange, the account as it was."""

import asyncio
import logging

import pytest
from sqlalchemy import update

from auth.connect_error import ConnectError, Fault
from auth.credential import OpenAccount
from net.redaction import LIVE_SECRETS
from storage.accounts import ACTIVE, NOT_CONNECTED
from storage.schema import connect_attempts
from storage.vault_records import read_records
from tests.fixtures.authorization_server import REVOKE, TOKEN, drop_after, instead, said_as
from tests.fixtures.authorization_server import Fault as ServerFault
from tests.fixtures.consented import Connecting
from tests.fixtures.http import Answer
from tests.fixtures.token_endpoint import refusal


async def expire_links(connecting: Connecting) -> None:
    """Ten minutes pass."""
    async with connecting.bench.database.write() as connection:
        await connection.execute(update(connect_attempts).values(expires_at=1.0))


async def refused(connecting: Connecting, query: str, cookie: str | None) -> Fault:
    with pytest.raises(ConnectError) as caught:
        await connecting.connector.finish(query, cookie)
    return caught.value.fault


async def test_a_denied_consent_leaves_the_account_and_asks_for_no_token(connecting: Connecting) -> None:
    opened = await connecting.create()
    connecting.server.consent = "deny"
    browser, invitation = connecting.browser(), await connecting.invite()
    query = await browser.go(invitation)
    assert await refused(connecting, query, browser.cookie) is Fault.DENIED
    progress = await connecting.connector.progress(invitation.id)
    assert progress is not None
    assert progress.outcome == "denied"
    assert "tieline accounts connect main" in (progress.told or "")
    assert (await connecting.bench.account(opened)).state == NOT_CONNECTED
    assert connecting.server.token_requests == []


async def test_a_denied_consent_leaves_a_connected_account_at_work(connecting: Connecting) -> None:
    opened = await connecting.create()
    browser = connecting.browser()
    await browser.connect()
    before = await connecting.bench.stored(opened)
    connecting.server.consent = "deny"
    assert await refused(connecting, await browser.go(await connecting.invite()), browser.cookie) is Fault.DENIED
    assert await connecting.bench.stored(opened) == before
    assert (await connecting.bench.account(opened)).state == ACTIVE


async def test_an_answer_serves_once_and_the_second_is_noted_with_the_attempt_that_had_it(
    connecting: Connecting, caplog: pytest.LogCaptureFixture
) -> None:
    await connecting.create()
    browser, invitation = connecting.browser(), await connecting.invite()
    query = await browser.go(invitation)
    await connecting.connector.finish(query, browser.cookie)
    with caplog.at_level(logging.WARNING):
        assert await refused(connecting, query, browser.cookie) is Fault.UNKNOWN_STATE
    assert f"its state belongs to connect attempt {invitation.id}, which had it before" in caplog.text
    assert (len(connecting.server.token_requests), connecting.server.memory.code_reuses) == (1, 0)


async def test_of_two_equal_answers_at_once_one_is_exchanged(connecting: Connecting) -> None:
    await connecting.create()
    browser = connecting.browser()
    query = await browser.go(await connecting.invite())
    outcomes = await asyncio.gather(
        *(connecting.connector.finish(query, browser.cookie) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(each, ConnectError) for each in outcomes) == 4
    assert len(connecting.server.token_requests) == 1


@pytest.mark.parametrize("cookie", [None, "", "x" * 43])
async def test_an_answer_from_another_browser_is_refused_noted_and_used_up(
    connecting: Connecting, caplog: pytest.LogCaptureFixture, cookie: str | None
) -> None:
    await connecting.create()
    browser, invitation = connecting.browser(), await connecting.invite()
    query = await browser.go(invitation)
    with caplog.at_level(logging.WARNING):
        assert await refused(connecting, query, cookie) is Fault.FOREIGN_BROWSER
    assert await refused(connecting, query, browser.cookie) is Fault.UNKNOWN_STATE
    assert f"a callback of connect attempt {invitation.id} came from another browser" in caplog.text
    progress = await connecting.connector.progress(invitation.id)
    assert progress is not None
    assert progress.told is None
    assert connecting.server.token_requests == []


async def test_an_answer_that_came_too_late_is_refused(connecting: Connecting) -> None:
    await connecting.create()
    browser = connecting.browser()
    query = await browser.go(await connecting.invite())
    await expire_links(connecting)
    assert await refused(connecting, query, browser.cookie) is Fault.UNKNOWN_STATE
    assert connecting.server.token_requests == []


async def test_a_link_followed_again_makes_the_answer_to_the_first_time_worthless(connecting: Connecting) -> None:
    await connecting.create()
    browser, invitation = connecting.browser(), await connecting.invite()
    first = await browser.go(invitation)
    second = await browser.go(invitation)
    assert await refused(connecting, first, browser.cookie) is Fault.UNKNOWN_STATE
    assert (await connecting.connector.finish(second, browser.cookie)).account == "main"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda query: query + "&code=another", id="two-codes"),
        pytest.param(lambda query: query + "&state=another", id="two-states"),
        pytest.param(lambda query: query + "&iss=https://evil.example", id="two-issuers"),
        pytest.param(lambda query: query + "&error=access_denied", id="code-and-error"),
        pytest.param(lambda query: query.replace("code=", "kode="), id="no-code"),
        pytest.param(lambda query: query.replace("state=", "stat="), id="no-state"),
        pytest.param(lambda query: query + "&x=%ff", id="not-utf-8"),
        pytest.param(lambda query: query + "&x=" + "a" * 20000, id="too-long"),
        pytest.param(lambda query: "", id="empty"),
    ],
)
async def test_an_answer_that_can_be_read_in_two_ways_is_refused_before_any_exchange(
    sqlite_connecting: Connecting, change: object
) -> None:
    await sqlite_connecting.create()
    browser = sqlite_connecting.browser()
    query = await browser.go(await sqlite_connecting.invite())
    assert await refused(sqlite_connecting, change(query), browser.cookie) is Fault.BAD_CALLBACK  # type: ignore[operator]
    assert sqlite_connecting.server.token_requests == []


@pytest.mark.parametrize(
    ("answered", "promised", "accepted"),
    [
        pytest.param("as-it-is", True, True, id="right"),
        pytest.param("https://evil.example", True, False, id="wrong"),
        pytest.param("", True, False, id="empty"),
        pytest.param(None, True, False, id="missing-though-promised"),
        pytest.param(None, False, True, id="missing-and-not-promised"),
        pytest.param("https://evil.example", False, False, id="wrong-though-not-promised"),
        pytest.param("with-slash", True, False, id="almost-right"),
    ],
)
async def test_the_issuer_in_an_answer_must_be_the_one_that_was_asked(
    sqlite_connecting: Connecting, answered: str | None, promised: bool, accepted: bool
) -> None:
    server = sqlite_connecting.server
    server.names_itself = False
    server.metadata = {"authorization_response_iss_parameter_supported": promised}
    await sqlite_connecting.create(issuer=server.url)
    browser = sqlite_connecting.browser()
    query = await browser.go(await sqlite_connecting.invite())
    told = {"as-it-is": server.url, "with-slash": server.url + "/"}.get(answered or "", answered)
    query += "" if told is None else f"&iss={told}"
    if accepted:
        assert (await sqlite_connecting.connector.finish(query, browser.cookie)).account == "main"
    else:
        assert await refused(sqlite_connecting, query, browser.cookie) is Fault.BAD_CALLBACK
    assert len(server.token_requests) == (1 if accepted else 0)


async def test_a_strangers_callback_does_not_choose_what_is_masked(sqlite_connecting: Connecting) -> None:
    answer = "a harmless-word beside another-word"

    assert await refused(sqlite_connecting, "state=harmless-word&code=another-word", None) is Fault.UNKNOWN_STATE

    assert LIVE_SECRETS.scrub(answer) == answer


async def test_a_state_that_nobody_asked_for_is_refused_and_noted(
    connecting: Connecting, caplog: pytest.LogCaptureFixture
) -> None:
    opened = await connecting.create()
    await connecting.browser().connect()
    before = await connecting.bench.stored(opened)
    with caplog.at_level(logging.WARNING):
        assert await refused(connecting, "state=made-up&code=stolen", "x" * 43) is Fault.UNKNOWN_STATE
    assert "its state was never asked for" in caplog.text
    assert "made-up" not in caplog.text
    assert await connecting.bench.stored(opened) == before
    assert len(connecting.server.token_requests) == 1


@pytest.mark.parametrize("ticket", ["", "unknown", "x" * 43])
async def test_a_link_that_was_never_made_leads_nowhere(sqlite_connecting: Connecting, ticket: str) -> None:
    with pytest.raises(ConnectError) as caught:
        await sqlite_connecting.connector.start(ticket, None)
    assert caught.value.fault is Fault.UNKNOWN_LINK


async def test_a_link_leads_nowhere_once_it_is_used_or_too_old(sqlite_connecting: Connecting) -> None:
    await sqlite_connecting.create()
    browser = sqlite_connecting.browser()
    used, old = await sqlite_connecting.invite(), await sqlite_connecting.invite()
    await sqlite_connecting.connector.finish(await browser.go(used), browser.cookie)
    await expire_links(sqlite_connecting)
    for invitation in (used, old):
        with pytest.raises(ConnectError) as caught:
            await browser.follow(invitation)
        assert caught.value.fault is Fault.UNKNOWN_LINK


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(instead(Answer(500)), id="500"),
        pytest.param(instead(refusal(429, "slow_down", [("Retry-After", "0")])), id="429"),
        pytest.param(instead(refusal(400, "invalid_grant")), id="invalid-grant"),
        pytest.param(instead(refusal(401, "invalid_client")), id="invalid-client"),
        pytest.param(instead(Answer(200, b"<h1>Welcome</h1>")), id="a-page"),
        pytest.param(drop_after, id="lost"),
        pytest.param(said_as(lambda body: {"error": "bad_verification_code"}), id="error-inside-200"),
    ],
)
async def test_a_code_that_brings_no_token_leaves_the_grant_before_it_in_force(
    connecting: Connecting, fault: ServerFault
) -> None:
    opened, before = await _connected(connecting)
    row = await connecting.bench.row(opened)
    browser = connecting.browser()
    query = await browser.go(await connecting.invite())
    connecting.server.fault(TOKEN, fault)
    assert await refused(connecting, query, browser.cookie) is Fault.EXCHANGE
    assert await connecting.bench.stored(opened) == before
    after = await connecting.bench.row(opened)
    assert (after.version, after.state, after.refresh_at, after.attempt_id) == (1, row.state, row.refresh_at, None)
    assert (after.lease_until, await connecting.bench.record(opened, "consent")) == (0.0, None)
    await connecting.bench.expire(opened)
    assert (await connecting.bench.process().ensure(opened)).version == 2
    assert (await connecting.bench.account(opened)).state == ACTIVE


async def test_what_was_used_up_or_is_over_leaves_no_verifier_behind(connecting: Connecting) -> None:
    opened = await connecting.create()
    browser = connecting.browser()
    await connecting.connector.finish(await browser.go(await connecting.invite()), browser.cookie)
    await browser.follow(await connecting.invite())
    async with connecting.bench.database.read() as connection:
        waiting = await read_records(connection, "connects", opened.account.id)
    await expire_links(connecting)
    await connecting.invite()
    async with connecting.bench.database.read() as connection:
        left = await read_records(connection, "connects", opened.account.id)
    assert (len(waiting), len(left)) == (1, 0)


async def test_what_proves_anything_is_stored_as_a_digest_or_encrypted(connecting: Connecting) -> None:
    await connecting.create()
    browser, invitation = connecting.browser(), await connecting.invite()
    url = await browser.follow(invitation)
    async with connecting.bench.database.read() as connection:
        row = (await connection.execute(connect_attempts.select())).one()
    stored = repr(tuple(row))
    state = url.partition("state=")[2].partition("&")[0]
    assert state
    for secret in (state, browser.cookie or "?", invitation.link.rpartition("/")[2]):
        assert secret not in stored
    assert invitation.link not in repr(invitation)


async def _connected(connecting: Connecting) -> tuple[OpenAccount, object]:
    opened = await connecting.create(revoke={"endpoint": connecting.server.url + REVOKE})
    await connecting.browser().connect()
    return opened, await connecting.bench.stored(opened)

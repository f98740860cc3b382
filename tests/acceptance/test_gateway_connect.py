"""Connecting and disconnecting through the API: an app asks, a person consents in a browser, the app learns of it."""

import json
from datetime import UTC, datetime

import httpx2
import pytest
from sqlalchemy import update

from auth.connect import CALLBACK_PATH
from gateway.serve import front_door
from net.redaction import LIVE_SECRETS
from runtime.http_server import listen
from runtime.serve import Parts
from storage.connect_attempts import note_answer
from storage.database import db_now
from storage.schema import connect_attempts
from tests.fixtures.gateway import opened_gateway
from tests.fixtures.processes import tieline_command
from tests.fixtures.shop import Shop
from tests.fixtures.tieline import Installation


async def test_an_app_gets_a_link_and_learns_that_the_account_was_connected(shop: Shop) -> None:
    told = await shop.link()
    before = await shop.progress(told["id"])
    page = await shop.follow(told["link"])
    after = await shop.progress(told["id"])
    seconds = (datetime.fromisoformat(told["expires_at"]) - datetime.now(UTC)).total_seconds()
    assert told["redirect_uri"] == f"{shop.gateway.url}{CALLBACK_PATH}"
    assert 500 < seconds <= 600
    assert (before["outcome"], before["told"]) == (None, None)
    assert "account main: connected" in page.text
    assert (after["outcome"], after["told"]) == ("connected", "account main: connected")
    assert at(after, "expires_at") < at(before, "expires_at") == at(told, "expires_at")


async def test_a_connected_account_shows_when_its_token_ends_and_is_renewed_as_the_command_does(shop: Shop) -> None:
    never = (await shop.ask("GET", "main")).json()
    await shop.connect()
    shown = (await shop.ask("GET", "main")).json()
    command = json.loads((await tieline_command(shop.gateway.tieline, "accounts", "show", "main", "-o", "json")).output)
    assert "token_version" not in never
    assert shown["token_version"] == 1
    assert datetime.fromisoformat(shown["token_renews_at"]) < datetime.fromisoformat(shown["token_expires_at"])
    assert (shown["refresh_token_expires_at"], shown["token_last_error"]) == (None, None)
    assert list(shown) == list(command)
    assert [at(shown, field) for field in MOMENTS] == [at(command, field) for field in MOMENTS]


MOMENTS = ("created_at", "updated_at", "token_expires_at", "token_renews_at")


def at(account: dict[str, str], field: str) -> datetime:
    return datetime.fromisoformat(account[field])


async def test_a_refused_consent_is_told_to_the_app_with_the_next_step(shop: Shop) -> None:
    shop.provider.consent = "deny"
    progress = await shop.progress(await shop.connect())
    assert progress["outcome"] == "denied"
    assert progress["told"] == (
        "account 'main': the consent was refused at the provider; the account is as it was. "
        "Next step: tieline accounts connect main"
    )
    assert (await shop.ask("GET", "main")).json()["state"] == "not_connected"


async def test_a_link_that_nobody_followed_in_time_is_told_as_expired(shop: Shop) -> None:
    told = await shop.link()
    async with shop.gateway.tieline.stores.database.write() as connection:
        await connection.execute(update(connect_attempts).values(expires_at=db_now() - 1))
    progress = await shop.progress(told["id"])
    page = await shop.follow(told["link"])
    assert (progress["outcome"], page.status_code) == ("expired", 404)
    assert progress["told"] == "account main: nobody consented in time. Next step: tieline accounts connect main"


async def test_what_a_killed_process_left_is_told_as_the_command_tells_it(shop: Shop) -> None:
    told = await shop.link()
    async with shop.gateway.tieline.stores.database.write() as connection:
        await note_answer(connection, told["id"], "it ended before the provider gave a token", 60)
    open_still = await shop.progress(told["id"])
    async with shop.gateway.tieline.stores.database.write() as connection:
        await connection.execute(update(connect_attempts).values(expires_at=db_now() - 1))
    over = await shop.progress(told["id"])
    assert (open_still["outcome"], open_still["told"]) == (None, None)
    assert (over["outcome"], over["told"]) == ("expired", "it ended before the provider gave a token")


async def test_what_a_grant_revoked_at_the_provider_leaves_is_mended_by_one_consent(shop: Shop) -> None:
    await shop.connect()
    shop.provider.newest.family.revoked = True
    refused = await shop.ask("POST", "main/refresh")
    dead = (await shop.ask("GET", "main")).json()
    await shop.connect()
    alive = (await shop.ask("GET", "main")).json()
    assert (refused.status_code, refused.json()["category"]) == (424, "needs_reconnect")
    assert refused.json()["suggested_action"] == "connect it again: tieline accounts connect main"
    assert (dead["state"], dead["cause"]) == ("needs_reconnect", "invalid_grant")
    assert dead["token_last_error"] == "permanent_grant:invalid_grant"
    assert (alive["state"], alive["cause"], alive["token_last_error"]) == ("active", None, None)


async def test_an_account_is_disconnected_and_its_grant_revoked(shop: Shop) -> None:
    await shop.connect()
    answer = await shop.ask("POST", "main/disconnect")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "account": "main",
            "revoked": True,
            "told": "account main: disconnected, and its grant revoked at the provider",
        },
    )
    assert (await shop.ask("GET", "main")).json()["state"] == "disconnected"
    again = await shop.ask("POST", "main/disconnect")
    assert again.json() == {"account": "main", "revoked": False, "told": "account main: disconnected; it held no token"}


async def test_no_answer_and_no_log_line_holds_what_the_provider_gave(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    told = await shop.link()
    await shop.follow(told["link"])
    answers = [
        await shop.ask("GET", "main"),
        await shop.ask("GET", f"main/connect/{told['id']}"),
        await shop.ask("POST", "main/refresh"),
        await shop.ask("POST", "main/disconnect"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    everything = " ".join(answer.text for answer in answers) + caplog.text
    given = [token.access_token for token in shop.provider.memory.tokens]
    assert len(given) == 2
    assert not [token for token in given if token in everything]
    ticket = told["link"].rpartition("/")[2]
    assert ticket not in everything
    assert ticket not in LIVE_SECRETS.scrub(told["link"])


async def test_an_account_that_needs_no_consent_is_refused_with_what_it_needs(shop: Shop) -> None:
    answer = await shop.ask("POST", "crm/connect")
    assert (answer.status_code, answer.json()["category"]) == (422, "not_by_consent")
    assert answer.json()["suggested_action"] == "tieline accounts test crm"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "nobody/connect", 404),
        ("POST", "nobody/disconnect", 404),
        ("GET", f"nobody/connect/{'0' * 32}", 404),
        ("GET", f"main/connect/{'0' * 32}", 404),
        ("GET", "main/connect/x", 422),
    ],
)
async def test_what_is_not_there_is_told(shop: Shop, method: str, path: str, status: int) -> None:
    answer = await shop.ask(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_an_attempt_is_told_under_its_own_account_only(shop: Shop) -> None:
    told = await shop.link()
    assert (await shop.ask("GET", f"crm/connect/{told['id']}")).status_code == 404


async def test_links_begin_with_the_configured_url_and_its_host_is_answered(connectable: Installation) -> None:
    configured = connectable.stores.settings.model_copy(update={"gateway_url": "https://tieline.example"})
    object.__setattr__(connectable.stores, "settings", configured)
    await connectable.stores.api_tokens.create("first", ["runs:read"])
    async with opened_gateway(connectable) as gateway:
        headers = {**await gateway.token("manage"), "Host": "tieline.example", "Origin": "https://tieline.example"}
        answer = await gateway.http.post("/v1/accounts/main/connect", headers=headers)
        told = answer.json()
        ticket = told["link"].removeprefix("https://tieline.example")
        page = await gateway.http.get(ticket, headers={"Host": "tieline.example"})
    assert told["redirect_uri"] == f"https://tieline.example{CALLBACK_PATH}"
    assert page.status_code == 303
    assert page.headers["set-cookie"].startswith("__Host-tieline-connect=")
    assert "Secure" in page.headers["set-cookie"]


async def test_off_loopback_no_link_is_made_up_as_long_as_nobody_says_where_browsers_reach_it(
    connectable: Installation,
) -> None:
    _, token = await connectable.stores.api_tokens.create("shop", ["manage"])
    with listen("0.0.0.0:0") as listener:
        async with (
            front_door(Parts(connectable.stores, connectable.client), listener, None) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False) as http,
        ):
            answer = await http.post("/v1/accounts/main/connect", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["category"]) == (409, "no_public_url")
    assert answer.json()["suggested_action"] == "set TIELINE_GATEWAY_URL=https://HOST and start it again"

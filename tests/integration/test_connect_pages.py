"""The pages for connecting, over HTTP: cookies, redirects, statuses, and nothing that a stranger could put on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from gateway.connect import connect_routes
from gateway.loopback import PortTaken, serving_connect
from tests.fixtures.authorization_server import TOKEN, instead
from tests.fixtures.consented import BASE_URL, Connecting
from tests.fixtures.http import NO_TLS, Answer

HTTPS = "https://tieline.example"


@asynccontextmanager
async def visiting(connecting: Connecting, base: str = BASE_URL) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser that sees the pages under this address."""
    transport = httpx2.ASGITransport(Starlette(routes=list(connect_routes(connecting.connector))))
    async with httpx2.AsyncClient(transport=transport, base_url=base, follow_redirects=False, verify=NO_TLS) as browser:
        yield browser


@pytest_asyncio.fixture
async def visitor(sqlite_connecting: Connecting) -> AsyncIterator[httpx2.AsyncClient]:
    async with visiting(sqlite_connecting) as browser:
        yield browser


async def to_provider(connecting: Connecting, visitor: httpx2.AsyncClient, link: str) -> str:
    """Follow the link and consent; returns the address that the browser is sent back to."""
    reply = await visitor.get(link)
    assert reply.status_code == 303, reply.text
    async with httpx2.AsyncClient(follow_redirects=False, verify=NO_TLS) as http:
        return str((await http.get(reply.headers["Location"])).headers["Location"])


async def test_a_person_goes_there_and_back_and_reads_the_outcome_at_a_clean_address(
    sqlite_connecting: Connecting, visitor: httpx2.AsyncClient
) -> None:
    await sqlite_connecting.create()
    back = await to_provider(sqlite_connecting, visitor, (await sqlite_connecting.invite()).link)
    landed = await visitor.get(back)
    page = await visitor.get(landed.headers["Location"])
    assert landed.status_code == 303
    assert urlsplit(landed.headers["Location"]).query == ""
    assert (page.status_code, "account main: connected" in page.text) == (200, True)
    for reply in (landed, page):
        assert (reply.headers["Cache-Control"], reply.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_a_denied_consent_is_told_in_words(sqlite_connecting: Connecting, visitor: httpx2.AsyncClient) -> None:
    sqlite_connecting.server.consent = "deny"
    await sqlite_connecting.create()
    page = await visitor.get(await to_provider(sqlite_connecting, visitor, (await sqlite_connecting.invite()).link))
    assert page.status_code == 400
    assert "the consent was refused at the provider; the account is as it was" in page.text


async def test_another_browser_is_refused_with_the_answer_of_the_first(
    sqlite_connecting: Connecting, visitor: httpx2.AsyncClient
) -> None:
    await sqlite_connecting.create()
    back = await to_provider(sqlite_connecting, visitor, (await sqlite_connecting.invite()).link)
    async with visiting(sqlite_connecting) as stranger:
        page = await stranger.get(back)
    assert (page.status_code, sqlite_connecting.server.token_requests) == (400, [])


async def test_an_answer_that_comes_again_is_refused(
    sqlite_connecting: Connecting, visitor: httpx2.AsyncClient
) -> None:
    await sqlite_connecting.create()
    back = await to_provider(sqlite_connecting, visitor, (await sqlite_connecting.invite()).link)
    first, second = await visitor.get(back), await visitor.get(back)
    assert (first.status_code, second.status_code) == (303, 400)
    assert len(sqlite_connecting.server.token_requests) == 1


@pytest.mark.parametrize(
    ("base", "name", "secure"),
    [(BASE_URL, "tieline-connect", False), (HTTPS, "__Host-tieline-connect", True)],
    ids=["loopback", "https"],
)
async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    sqlite_connecting: Connecting, base: str, name: str, secure: bool
) -> None:
    await sqlite_connecting.create()
    invitation = await sqlite_connecting.connector.invite("main", base)
    async with visiting(sqlite_connecting, base) as browser:
        cookie = (await browser.get(invitation.link)).headers["Set-Cookie"]
    parts = [part.strip() for part in cookie.split(";")]
    assert parts[0].startswith(f"{name}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(parts)
    assert ("Secure" in parts) is secure
    assert not any(part.startswith("Domain") for part in parts)


async def test_a_preview_of_the_link_does_not_disturb_an_answer_under_way(
    sqlite_connecting: Connecting, visitor: httpx2.AsyncClient
) -> None:
    await sqlite_connecting.create()
    link = (await sqlite_connecting.invite()).link
    back = await to_provider(sqlite_connecting, visitor, link)
    await visitor.head(link)
    assert (await visitor.head(back)).status_code == 200
    assert (await visitor.get(back)).status_code == 303


@pytest.mark.parametrize("path", ["/connect/start/unknown", "/connect/done/unknown"])
async def test_an_address_that_was_never_handed_out_shows_nothing(visitor: httpx2.AsyncClient, path: str) -> None:
    assert (await visitor.get(path)).status_code == 404


async def test_nothing_of_the_answer_s_text_reaches_the_page(
    sqlite_connecting: Connecting, visitor: httpx2.AsyncClient
) -> None:
    await sqlite_connecting.create()
    back = await to_provider(sqlite_connecting, visitor, (await sqlite_connecting.invite()).link)
    state = back.partition("state=")[2].partition("&")[0]
    query = f"state={state}&error=<script>alert(1)</script>&error_description=<b>call+0800</b>&iss="
    page = await visitor.get(f"/connect/callback?{query}{sqlite_connecting.server.url}")
    assert page.status_code == 502
    assert "script" not in page.text
    assert "0800" not in page.text


async def test_what_a_provider_says_of_a_refused_code_stands_on_the_page_as_text(
    sqlite_connecting: Connecting, visitor: httpx2.AsyncClient
) -> None:
    await sqlite_connecting.create()
    back = await to_provider(sqlite_connecting, visitor, (await sqlite_connecting.invite()).link)
    body = b'{"error": "invalid_grant", "error_description": "<img src=x onerror=alert(1)>"}'
    sqlite_connecting.server.fault(TOKEN, instead(Answer(400, body)))
    page = await visitor.get(back)
    assert page.status_code == 502
    assert "&lt;img" in page.text
    assert "<img" not in page.text


async def test_the_pages_of_one_machine_answer_to_no_other_name(sqlite_connecting: Connecting) -> None:
    async with serving_connect(sqlite_connecting.connector, 0) as base, httpx2.AsyncClient() as http:
        own = await http.get(f"{base}/connect/start/unknown")
        foreign = await http.get(f"{base}/connect/start/unknown", headers={"Host": "evil.example"})
    assert (own.status_code, foreign.status_code) == (404, 400)


async def test_a_taken_port_is_told_instead_of_another_one_being_chosen(sqlite_connecting: Connecting) -> None:
    async with serving_connect(sqlite_connecting.connector, 0) as base:
        with pytest.raises(PortTaken, match="--port"):
            async with serving_connect(sqlite_connecting.connector, int(base.rpartition(":")[2])):
                pass

"""Values that the provider sends along with the code, by way of a browser: taken, and led nowhere by."""

from typing import Any
from urllib.parse import quote

import pytest

from auth.connect_error import ConnectError, Fault
from tests.fixtures.authorization_server import REVOKE, TOKEN
from tests.fixtures.consented import Browser, Connecting


async def callback_of(connecting: Connecting, browser: Browser, **more: str) -> str:
    query = await browser.go(await connecting.invite())
    return query + "".join(f"&{name.replace('_', '-')}={quote(value, safe='')}" for name, value in more.items())


async def captured(connecting: Connecting, name: str) -> str:
    credential = await connecting.bench.resolver().resolve_account("main")
    return credential.texts()[name]


@pytest.mark.parametrize(
    "value",
    ["123-abc", "4620816365002461234", "A13V1IB3VIYZZH", "shop.example.com", "Ann & Söhne/2", "a b+c=d", "x" * 1024],
)
async def test_what_a_provider_says_of_itself_is_taken_as_it_is(connecting: Connecting, value: str) -> None:
    """Realms, merchants, sellers, sites: none of them decides where anything is sent."""
    await connecting.create_own(capture={"callback": {"realm": "realmId"}})
    browser = connecting.browser()
    await connecting.connector.finish(await callback_of(connecting, browser, realmId=value), browser.cookie)
    assert await captured(connecting, "realm") == value


@pytest.mark.parametrize("value", ["", "a\r\nX-Evil: 1", "a\x00b", "\x1b[2J", "x" * 1025])
async def test_what_could_not_be_shown_is_refused_before_any_exchange(
    sqlite_connecting: Connecting, value: str
) -> None:
    await sqlite_connecting.create_own(capture={"callback": {"realm": "realmId"}})
    browser = sqlite_connecting.browser()
    query = await callback_of(sqlite_connecting, browser, realmId=value)
    assert await fault_of(sqlite_connecting, query, browser) is Fault.BAD_CALLBACK
    assert sqlite_connecting.server.token_requests == []


@pytest.mark.parametrize("value", ["evil.example", "evil.example/", "127.0.0.1:1", "x@evil.example", "a%2f", "[::1]"])
async def test_without_a_pattern_a_host_takes_no_more_than_a_part_of_its_name(
    sqlite_connecting: Connecting, value: str
) -> None:
    await sqlite_connecting.create(
        token={"endpoint": "https://{shop}.example.com/token"}, capture={"callback": {"shop": "subdomain"}}
    )
    browser = sqlite_connecting.browser()
    query = await callback_of(sqlite_connecting, browser, subdomain=value)
    assert await fault_of(sqlite_connecting, query, browser) is Fault.BAD_CALLBACK


def of_server(connecting: Connecting) -> dict[str, Any]:
    """The provider says at which address its token endpoint is; the scheme is the definition's."""
    callback = {"accounts": {"query": "accounts-server", "pattern": r"http://(127\.0\.0\.1:[0-9]+)"}}
    endpoints = {
        "token": {"endpoint": "http://{accounts}" + TOKEN},
        "revoke": {"endpoint": "http://{accounts}" + REVOKE},
    }
    return {**endpoints, "capture": {"callback": callback}}


async def test_the_group_of_a_pattern_leads_to_the_token_endpoint_and_from_then_on_to_the_same(
    connecting: Connecting,
) -> None:
    bench, server = connecting.bench, connecting.server
    opened = await connecting.create(**of_server(connecting))
    browser = connecting.browser()
    query = await callback_of(connecting, browser, accounts_server=server.url)
    await connecting.connector.finish(query, browser.cookie)
    await bench.expire(opened)
    state = await bench.process().ensure(opened)
    told = await connecting.disconnector.disconnect("main")
    assert (state.version, told.revoked) == (2, True)
    assert [each["grant_type"] for each in server.token_requests] == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize(
    "value", ["https://evil.example", "http://127.0.0.1:1.evil.example", "127.0.0.1:1", "http://127.0.0.1:1/"]
)
async def test_another_address_than_the_pattern_allows_is_sent_nothing(
    sqlite_connecting: Connecting, value: str
) -> None:
    await sqlite_connecting.create(**of_server(sqlite_connecting))
    browser = sqlite_connecting.browser()
    query = await callback_of(sqlite_connecting, browser, accounts_server=value)
    assert await fault_of(sqlite_connecting, query, browser) is Fault.BAD_CALLBACK
    assert sqlite_connecting.server.token_requests == []


async def fault_of(connecting: Connecting, query: str, browser: Browser) -> Fault:
    with pytest.raises(ConnectError) as caught:
        await connecting.connector.finish(query, browser.cookie)
    return caught.value.fault

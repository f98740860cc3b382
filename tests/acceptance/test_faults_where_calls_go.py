"""Where a call may go, and what it takes along: whatever accounts, providers, callers and the environment say."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.http import Answer, FaultServer, serving
from tests.fixtures.told import JSON, KEY, Told, answer, failure, fresh

pytestmark = pytest.mark.timeout(60)

Names = Callable[..., list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """`names(host, *addresses)`: what the operating system says of a host, in turn; returns the list of questions."""
    real = socket.getaddrinfo

    def resolves_to(host: str, *addresses: str) -> list[str]:
        left = list(addresses)
        questions: list[str] = []

        def answered(name: Any, *about: Any, **more: Any) -> Any:
            if name != host:
                return real(name, *about, **more)
            questions.append(name)
            return real(left.pop(0) if len(left) > 1 else left[0], *about, **more)

        monkeypatch.setattr(socket, "getaddrinfo", answered)
        return questions

    return resolves_to


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        ("169.254.169.254", "cloud metadata"),
        ("[64:ff9b::a9fe:a9fe]", "cloud metadata"),
        ("[::ffff:169.254.169.254]", "cloud metadata"),
        ("127.0.0.1:{port}", "loopback"),
        ("127.1:{port}", "loopback"),
        ("2130706433:{port}", "loopback"),
        ("0x7f000001:{port}", "loopback"),
        ("0177.0.0.1:{port}", "loopback"),
        ("localhost:{port}", "loopback"),
        ("[::1]:{port}", "loopback"),
        ("[::ffff:7f00:1]:{port}", "loopback"),
        ("0:{port}", "unspecified"),
        ("10.0.0.1", "private"),
    ],
)
async def test_a_closed_address_is_refused_in_every_notation_and_nothing_is_sent(
    told: Told, server: str, kind: str
) -> None:
    name = fresh("closed")
    async with serving(FaultServer()) as closed:
        await told.account_at(name, server.format(port=closed.port))
        found = failure(await told.call("/secrets", profile=name))
        assert closed.connections == 0
    assert (found.category, found.verdict, found.actor) == ("egress_denied", "final", "operator")
    assert f"{kind} address, closed by the egress policy" in found.message


@pytest.mark.parametrize("server", ["x@127.0.0.1:{port}", "127.0.0.1:{port}/x?", "127.0.0.1:{port}#", "127.0.0.1 :80"])
async def test_a_parameter_cannot_end_the_host_that_it_stands_in(told: Told, server: str) -> None:
    name = fresh("ended")
    await told.account_at(name, server.format(port=told.server.port))
    before = len(told.server.received)
    found = failure(await told.call("/secrets", profile=name))
    assert (found.category, found.actor) == ("invalid_request", "user")
    assert len(told.server.received) == before


@pytest.mark.parametrize("url", ["http://x@127.0.0.1:{port}/api/x", "http://evil.example/x", "ftp://127.0.0.1/x"])
async def test_an_absolute_url_that_leaves_the_integration_s_hosts_is_refused(told: Told, url: str) -> None:
    before = len(told.server.received)
    found = failure(await told.call(url.format(port=told.server.port)))
    assert (found.category, found.actor) == ("invalid_request", "user")
    assert len(told.server.received) == before


async def test_a_closed_address_is_told_with_the_rule_that_would_open_it(told: Told) -> None:
    name = fresh("rule")
    async with serving(FaultServer()) as closed:
        await told.account_at(name, f"127.0.0.1:{closed.port}")
        found = failure(await told.call("/x", profile=name))
        assert f"if it is meant, allow 127.0.0.1:{closed.port}" in found.message
    assert "TIELINE_EGRESS_ALLOW" in found.suggested_action


async def test_a_name_is_looked_up_once_so_that_it_cannot_change_between_check_and_connection(
    told: Told, names: Names
) -> None:
    name, path = fresh("rebinds"), fresh("/open")
    questions = names("rebinds.example", "127.0.0.1", "169.254.169.254")
    told.server.reply(f"/api{path}", body=b"{}", headers=[*JSON, ("Connection", "close")])
    await told.account_at(name, f"rebinds.example:{told.server.port}")

    assert answer(await told.call(path, profile=name)).status == 200
    assert questions == ["rebinds.example"]
    found = failure(await told.call(path, profile=name))
    assert "rebinds.example is 169.254.169.254, which is a cloud metadata address" in found.message
    assert len(told.server.to(f"/api{path}")) == 1


async def test_a_name_that_turns_to_this_machine_is_refused_however_often_it_is_asked(told: Told, names: Names) -> None:
    name = fresh("turns")
    async with serving(FaultServer()) as closed:
        names("turns.example", "169.254.169.254", "127.0.0.1")
        await told.account_at(name, f"turns.example:{closed.port}")
        outcomes = [await told.call("/x", profile=name), await told.call("/x", profile=name)]
        assert [failure(outcome).category for outcome in outcomes] == ["egress_denied"] * 2
        assert closed.connections == 0


async def test_a_redirect_to_a_closed_address_is_refused_and_nothing_is_sent_there(told: Told) -> None:
    path = fresh("/to-closed")
    async with serving(FaultServer()) as closed:
        told.server.reply(f"/api{path}", 302, headers=[("Location", f"{closed.url}/inside")])
        found = failure(await told.call(path))
        assert closed.connections == 0
    assert found.category == "egress_denied"
    assert "closed by the egress policy" in found.message


async def test_a_redirect_to_a_host_that_the_integration_does_not_name_is_refused(told: Told) -> None:
    path = fresh("/to-stranger")
    told.server.reply(f"/api{path}", 302, headers=[("Location", f"http://localhost:{told.elsewhere.port}{path}")])
    found = failure(await told.call(path))
    assert "not among the allowed hosts" in found.message
    assert told.elsewhere.to(path) == []


async def test_a_redirect_from_https_to_http_is_refused(told: Told) -> None:
    path = fresh("/downgraded")
    told.secure.reply(f"/api{path}", 302, headers=[("Location", f"{told.elsewhere.url}{path}")])
    found = failure(await told.call(path, adapter="secure"))
    assert "it leads from https to http" in found.message
    assert len(told.secure.received) == 1
    assert told.elsewhere.to(path) == []


async def test_a_redirect_to_another_origin_takes_no_credential_along(told: Told) -> None:
    path = fresh("/moved")
    target = f"{told.elsewhere.url}{path}?page=2&api_key={KEY['production']}"
    told.server.reply(f"/api{path}", 302, headers=[("Location", target), ("Set-Cookie", "session=stolen")])
    told.elsewhere.reply(path, body=b"{}", headers=JSON)
    assert answer(await told.call(path)).status == 200

    (seen,) = told.elsewhere.to(path)
    assert seen.query == [("page", "2")]
    assert [seen.header(name) for name in ("X-Key", "Cookie", "Authorization", "Referer")] == [None] * 4


@pytest.mark.parametrize("status", [307, 308])
async def test_a_post_is_not_repeated_at_another_origin(told: Told, status: int) -> None:
    path = fresh("/moved-post")
    told.server.reply(f"/api{path}", status, headers=[("Location", f"{told.elsewhere.url}{path}")])
    found = failure(await told.call(path, method="POST", body={"type": "json", "value": {"a": 1}}))
    assert found.category == "result_unusable"
    assert "a POST with its body to another origin" in found.message
    assert told.elsewhere.to(path) == []


@pytest.mark.parametrize("status", [301, 302])
async def test_a_post_whose_path_has_moved_is_told_so_and_not_turned_into_a_get(told: Told, status: int) -> None:
    path, target = fresh("/moved"), fresh("/there")
    told.server.reply(f"/api{path}", status, headers=[("Location", f"/api{target}")])
    found = failure(await told.call(path, method="POST"))
    assert (found.category, found.status) == ("refused", status)
    assert told.server.to(f"/api{target}") == []


async def test_proxies_of_the_environment_are_ignored(told: Told) -> None:
    path = fresh("/direct")
    told.server.reply(f"/api{path}", body=b"{}", headers=JSON)
    assert answer(await told.call(path)).status == 200
    assert len(told.server.to(f"/api{path}")) == 1
    assert told.proxy.connections == 0


async def test_a_cookie_that_one_profile_was_given_is_not_sent_for_another(told: Told) -> None:
    path = fresh("/cookie")
    cookie = ("Set-Cookie", "session=of-production; Path=/")
    told.server.replies(f"/api{path}", *[Answer(200, b"{}", [*JSON, cookie])] * 3)
    for profile in ("production", "dev", "production"):
        await told.call(path, profile=profile)

    requests = told.server.to(f"/api{path}")
    assert [request.header("X-Key") for request in requests] == [KEY["production"], KEY["dev"], KEY["production"]]
    assert [request.header("Cookie") for request in requests] == [None, None, None]


@pytest.mark.parametrize(
    "path",
    [
        "..",
        ".",
        "../../admin",
        "%2e%2e/admin",
        "%252e%252e/admin",
        "a/..%2f..%2fadmin",
        "..;/admin",
        "a\\..\\admin",
        "a\r\nX-Evil: 1",
        "a#b",
        "a%",
    ],
)
async def test_a_path_that_could_be_read_as_another_is_refused(told: Told, path: str) -> None:
    before = len(told.server.received)
    found = failure(await told.call(path))
    assert (found.category, found.actor) == ("invalid_request", "user")
    assert len(told.server.received) == before


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("//evil.example/{name}", "/api/evil.example/{name}"),
        ("a b/{name}", "/api/a%20b/{name}"),
        ("grün/{name}", "/api/gr%C3%BCn/{name}"),
        ("x%0d%0aX-Evil: 1/{name}", "/api/x%0d%0aX-Evil:%201/{name}"),
        ("a%2fb%3fc/{name}", "/api/a%2fb%3fc/{name}"),
    ],
)
async def test_a_path_arrives_encoded_below_the_base(told: Told, path: str, target: str) -> None:
    name = fresh("kept")
    await told.call(path.format(name=name))
    (seen,) = [request for request in told.server.received if request.path.endswith(name)]
    assert seen.path == target.format(name=name)
    assert seen.header("X-Evil") is None


async def test_a_query_in_a_path_cannot_replace_the_key(told: Told) -> None:
    path = fresh("/find")
    await told.call(f"{path}?x=1&api_key=mine&API_key=mine")
    (seen,) = told.server.to(f"/api{path}")
    assert seen.query == [("x", "1"), ("API_key", "mine"), ("api_key", KEY["production"])]

"""Requests, replies and errors: what they show of themselves, and that they cross to other processes whole."""

import copy
import pickle
from collections.abc import Callable

import pytest

from net.client import GuardedClient
from net.egress import EgressPolicy
from net.errors import NetError, Sent
from net.messages import HttpReply, OutboundRequest, SendTrace, TlsOptions
from net.proxy import read_proxy


@pytest.mark.parametrize(
    "shown",
    [
        OutboundRequest("POST", "https://api.example/?k=canary", (("X-Key", "canary"),), b"canary"),
        HttpReply(200, [("X-Token", "canary")], b"canary", "HTTP/1.1", 0.1, "https://api.example/canary"),
        TlsOptions("canary", b"canary", b"canary"),
    ],
)
def test_neither_request_nor_reply_shows_its_contents(shown: object) -> None:
    assert "canary" not in f"{shown} {shown!r} {[shown]}"


def test_tls_options_are_equal_by_content_and_apart_by_any_difference() -> None:
    parts = ("authority", b"certificate", b"key")
    others = [TlsOptions(), TlsOptions("authority"), TlsOptions("", b"authority"), TlsOptions("authority", b"", b"x")]
    same = {TlsOptions(*parts), TlsOptions(*parts)}
    assert len(same) == 1
    assert len({each.fingerprint for each in [*others, *same]}) == len(others) + 1


def test_the_first_header_counts_and_case_does_not() -> None:
    reply = HttpReply(200, [("Content-Type", "a"), ("content-type", "b")], b"", "HTTP/2", 0.0, "https://api.example/")
    assert reply.header("CONTENT-TYPE") == "a"
    assert reply.header("Location") is None


@pytest.mark.parametrize("cross", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_arrives_whole_in_another_process(cross: Callable[[NetError], NetError]) -> None:
    error = NetError("connection_lost", "GET https://api.example: lost", sent=Sent.ANSWERED, status=502)
    other = cross(error)
    assert (type(other), str(other), other.code, other.sent, other.status) == (
        *(NetError, "GET https://api.example: lost", "connection_lost", Sent.ANSWERED, 502),
    )


@pytest.mark.parametrize(
    ("url", "origin", "auth"),
    [
        ("http://proxy.internal:3128", ("http", "proxy.internal", 3128), None),
        ("https://proxy.internal", ("https", "proxy.internal", 443), None),
        ("http://[::1]:3128", ("http", "::1", 3128), None),
        ("http://user:p%40ss@proxy.internal:3128", ("http", "proxy.internal", 3128), b"Basic dXNlcjpwQHNz"),
    ],
)
def test_a_proxy_is_read_from_its_url(url: str, origin: tuple[str, str, int], auth: bytes | None) -> None:
    proxy = read_proxy(url)
    found = proxy.url.origin
    assert (found.scheme.decode(), found.host.decode(), found.port) == origin
    assert dict(proxy.headers).get(b"Proxy-Authorization") == auth


@pytest.mark.parametrize(
    "url",
    [
        "proxy.internal:3128",
        "socks5://u:canary@proxy.internal",
        "http://",
        "http://u:canary@:3128",
        "http://canary:x",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected http://HOST:PORT") as refused:
        GuardedClient(EgressPolicy(), proxy=url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "method", ["", "get", "GET ", "GET\r\nX: y", "G\0T", "CONNECT", "ÜBEL", "A" * 33, "-GET", "GET/1"]
)
async def test_a_method_that_is_none_is_refused_and_not_repeated(method: str) -> None:
    client, trace = GuardedClient(EgressPolicy()), SendTrace()
    with pytest.raises(NetError, match="the method must be one of RFC 9110's, or PATCH, in capitals") as refused:
        await client.send(OutboundRequest(method, "https://api.example/"), trace=trace)
    await client.aclose()
    assert refused.value.code == "invalid_request"
    assert (trace.sent, refused.value.sent) == (Sent.NO, Sent.NO)
    assert "\r" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer-Encoding", "CONNECTION", "TE", "Trailer", "Upgrade", "Expect"),
        *("Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Accept-Encoding"),
    ],
)
async def test_headers_of_framing_and_connection_cannot_be_set_by_a_request(name: str) -> None:
    client = GuardedClient(EgressPolicy())
    request = OutboundRequest("POST", "https://api.example/", ((name, "canary"),), b"{}")
    with pytest.raises(NetError, match=f"header {name} is set by the client and cannot be set by a request") as refused:
        await client.send(request)
    await client.aclose()
    assert refused.value.code == "invalid_request"
    assert "canary" not in str(refused.value)


async def test_a_refused_header_is_not_repeated_with_its_request() -> None:
    client = GuardedClient(EgressPolicy())
    request = OutboundRequest("POST", "https://api.example/?k=canary", (("X-Key", "canary\n"),), b"canary")
    with pytest.raises(
        NetError, match=r"POST https://api\.example: the value of header X-Key holds a line break"
    ) as refused:
        await client.send(request)
    await client.aclose()
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__

"""What must not get out: no failure shows a value, no account sees another's cookies, no transport log a header."""

import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable

import pytest

from net.client import GuardedClient
from net.errors import NetError
from net.messages import Injected, OutboundRequest
from net.redaction import quiet_transports
from tests.fixtures.http import Answer, FaultServer, Headers, Received, Wire, request_to

CANARY = "canary-4f1c9a"
BODY = f'{{"secret": "{CANARY}"}}'.encode()
COOKIES: Headers = [("Set-Cookie", f"session={CANARY}; Path=/"), ("Set-Cookie", "other=1; Domain=127.0.0.1")]

Handler = Callable[[Received, Wire], Awaitable[Answer | None]]


def scripted(raw: bytes, *, reset: bool = False) -> Handler:
    async def handler(_: Received, wire: Wire) -> None:
        await wire.send(raw)
        if reset:
            wire.reset()

    return handler


async def hang(_: Received, wire: Wire) -> None:
    await wire.hang()


ECHO = f"X-Echo: {CANARY}\r\n".encode()
FAULTS: dict[str, Handler] = {
    "cut": scripted(b""),
    "reset": scripted(b"", reset=True),
    "silent": hang,
    "no HTTP": scripted(CANARY.encode() * 3 + b"\r\n\r\n"),
    "bad header": scripted(b"HTTP/1.1 200 OK\r\n" + CANARY.encode() + b" x: y\r\n\r\n"),
    "cut body": scripted(b"HTTP/1.1 200 OK\r\n" + ECHO + b"Content-Length: 99\r\n\r\n" + BODY),
    "bad chunk": scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY),
    "too large": scripted(b"HTTP/1.1 200 OK\r\n" + ECHO + b"Content-Length: 9999\r\n\r\n" + BODY),
    "unknown coding": scripted(f"HTTP/1.1 200 OK\r\nContent-Encoding: {CANARY}\r\n\r\n".encode() + BODY),
    "damaged gzip": scripted(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BODY),
    "redirect to no URL": scripted(f"HTTP/1.1 307 Go\r\nLocation: http://{CANARY}:x/\r\n\r\n".encode()),
    "redirect with password": scripted(f"HTTP/1.1 307 Go\r\nLocation: http://u:{CANARY}@a/\r\n\r\n".encode()),
    "redirect elsewhere": scripted(f"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/?k={CANARY}\r\n\r\n".encode()),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_failure_holds_a_header_value_a_query_or_a_body_of_either_side(
    http_client: GuardedClient, http_server: FaultServer, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    quiet_transports()
    caplog.set_level(logging.DEBUG)
    http_server.on("/path", FAULTS[fault])
    headers = (("X-Api-Key", CANARY), ("Authorization", f"Bearer {CANARY}"))
    request = request_to(
        http_server, f"/path?api_key={CANARY}", "POST", headers=headers, content=BODY, deadline=0.3, max_bytes=1000
    )
    with pytest.raises(NetError) as failed:
        await http_client.send(request)
    shown = "".join(traceback.format_exception(failed.value, chain=True))
    assert CANARY not in f"{failed.value} {failed.value!r} {shown} {caplog.text}"
    assert CANARY.encode() not in pickle.dumps(failed.value)
    assert str(failed.value).startswith(f"POST {http_server.url}: ")


@pytest.mark.parametrize(
    "url",
    [f"http://u:{CANARY}@a/", f"http://a:{CANARY}/", f"http://a/ {CANARY}", f"{CANARY}://a/", f"http://{CANARY}.x\\/"],
)
async def test_a_url_that_is_refused_is_not_repeated(http_client: GuardedClient, url: str) -> None:
    with pytest.raises(NetError) as refused:
        await http_client.send(OutboundRequest("GET", url))
    assert CANARY not in str(refused.value)


async def test_transports_log_no_header_while_the_process_logs_at_debug(
    http_client: GuardedClient, http_server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    quiet_transports()
    caplog.set_level(logging.DEBUG)
    http_server.reply("/", 500, BODY, COOKIES)
    await http_client.send(request_to(http_server, f"/?k={CANARY}", headers=(("X-Api-Key", CANARY),)))
    assert CANARY not in caplog.text


async def test_a_cookie_that_one_account_was_given_is_not_sent_by_another(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/login", headers=COOKIES)
    one = Injected(headers=frozenset({"x-account"}))
    await http_client.send(request_to(http_server, "/login", headers=(("X-Account", "one"),), injected=one))
    await http_client.send(request_to(http_server, "/leads", headers=(("X-Account", "two"),), injected=one))
    (second,) = http_server.to("/leads")
    assert second.connection == 1
    assert second.header("Cookie") is None


async def test_a_cookie_is_not_kept_within_one_account_or_over_a_redirect_either(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", 302, headers=[*COOKIES, ("Location", "/next")])
    await http_client.send(request_to(http_server))
    await http_client.send(request_to(http_server, "/again"))
    assert [request.header("Cookie") for request in http_server.received] == [None, None, None]


async def test_a_cookie_that_the_request_itself_names_is_sent(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    await http_client.send(request_to(http_server, headers=(("Cookie", "session=mine"),)))
    assert http_server.received[0].header("Cookie") == "session=mine"

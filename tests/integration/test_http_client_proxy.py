"""Proxies: those of the environment are ignored, the configured one is used, and it is checked like any other host."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from net.errors import NetError, Sent
from net.messages import OutboundRequest, SendTrace, TlsOptions
from tests.fixtures.http import FaultServer, Names, calling, request_to

VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]


@dataclass
class Tunnel:
    """A proxy for CONNECT that leads every tunnel to one port of this machine; `refusal`: its answer instead."""

    target: int
    refusal: bytes = b""
    heads: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if self.refusal:
                writer.write(self.refusal)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                beyond, onward = await asyncio.open_connection("127.0.0.1", self.target)
                await asyncio.gather(_pump(reader, onward), _pump(beyond, writer))
        writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


@contextlib.asynccontextmanager
async def tunnelling(target: int, refusal: bytes = b"") -> AsyncIterator[Tunnel]:
    tunnel = Tunnel(target, refusal)
    server = await asyncio.start_server(tunnel.serve, "127.0.0.1", 0)
    tunnel.port = server.sockets[0].getsockname()[1]
    async with server:
        yield tunnel


@pytest.mark.parametrize("variable", [*VARIABLES, *(name.lower() for name in VARIABLES)])
async def test_a_proxy_in_the_environment_is_ignored(
    http_server: FaultServer, other_http_server: FaultServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, other_http_server.url)
    async with calling() as client:
        assert (await client.send(request_to(http_server))).status == 404
    assert (http_server.connections, other_http_server.connections) == (1, 0)


async def test_https_proxy_in_the_environment_is_ignored_for_https_too(
    tls_server: FaultServer, http_server: FaultServer, authority_pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, http_server.url)
    async with calling() as client:
        assert (await client.send(request_to(tls_server, tls=TlsOptions(authority_pem)))).status == 404
    assert http_server.connections == 0


async def test_the_configured_proxy_gets_the_call_and_looks_up_the_name(
    http_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    http_server.reply("http://api.example:80/leads", body=b"through")
    names = Names()
    async with calling(proxy=f"http://user:p%40ss@127.0.0.1:{http_server.port}", resolver=names) as client:
        reply = await client.send(OutboundRequest("GET", "http://api.example/leads?a=1"))
    (received,) = http_server.received
    assert received.target == "http://api.example:80/leads?a=1"
    assert received.header("Proxy-Authorization") == "Basic " + b64encode(b"user:p@ss").decode()
    assert names.asked == []
    assert reply.body == b"through"


async def test_https_goes_through_a_tunnel_whose_proxy_sees_no_credential(
    tls_server: FaultServer, authority_pem: str
) -> None:
    tls_server.reply("/leads", body=b"through")
    async with (
        tunnelling(tls_server.port) as tunnel,
        calling(proxy=f"http://user:pass@127.0.0.1:{tunnel.port}", resolver=Names()) as client,
    ):
        url, key = "https://localhost/leads?k=canary", (("X-Key", "canary"),)
        reply = await client.send(OutboundRequest("GET", url, key, tls=TlsOptions(authority_pem)))
    assert reply.body == b"through"
    assert tls_server.received[0].header("X-Key") == "canary"
    assert tls_server.received[0].header("Proxy-Authorization") is None
    assert tunnel.heads[0].startswith("CONNECT localhost:443 HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {b64encode(b'user:pass').decode()}" in tunnel.heads[0]
    assert "canary" not in "".join(tunnel.heads)


async def test_a_certificate_for_another_name_is_refused_behind_a_proxy_too(
    tls_server: FaultServer, authority_pem: str
) -> None:
    async with (
        tunnelling(tls_server.port) as tunnel,
        calling(proxy=f"http://127.0.0.1:{tunnel.port}", resolver=Names()) as client,
    ):
        with pytest.raises(NetError, match="certificate is not accepted: Hostname mismatch"):
            await client.send(OutboundRequest("GET", "https://api.example/", tls=TlsOptions(authority_pem)))
    assert tls_server.received == []


async def test_a_proxy_that_refuses_the_tunnel_means_not_sent_and_its_words_are_not_repeated() -> None:
    refusal = b"HTTP/1.1 407 canary\r\nContent-Length: 6\r\n\r\ncanary"
    trace = SendTrace()
    async with tunnelling(0, refusal) as tunnel, calling(proxy=f"http://u:canary@127.0.0.1:{tunnel.port}") as client:
        with pytest.raises(NetError) as refused:
            await client.send(OutboundRequest("POST", "https://api.example/", content=b"{}"), trace=trace)
    assert (refused.value.code, refused.value.sent, trace.sent) == ("connect_failed", Sent.NO, Sent.NO)
    assert str(refused.value) == "POST https://api.example: the proxy refused the connection with status 407"


async def test_a_proxy_that_is_down_means_not_sent(http_server: FaultServer) -> None:
    port = http_server.port
    await http_server.stop()
    async with calling(proxy=f"http://127.0.0.1:{port}") as client:
        with pytest.raises(NetError, match="no connection: connection refused") as refused:
            await client.send(OutboundRequest("POST", "https://api.example/", content=b"{}"))
    assert refused.value.sent is Sent.NO


async def test_a_proxy_at_a_closed_address_is_refused_like_any_other_host(http_server: FaultServer) -> None:
    async with calling("203.0.113.1", proxy=http_server.url) as client:
        with pytest.raises(NetError, match="is a loopback address") as refused:
            await client.send(OutboundRequest("GET", "http://api.example/"))
    assert refused.value.code == "egress_denied"
    assert http_server.connections == 0


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/", "cloud metadata"),
        ("http://10.0.0.1/", "private"),
        ("http://2130706433/", "loopback"),
        ("http://0x7f.1/", "loopback"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("http://api.example:22/", "port 22 is closed"),
    ],
)
async def test_a_target_that_is_closed_by_itself_is_not_even_asked_of_the_proxy(
    http_server: FaultServer, url: str, why: str
) -> None:
    async with calling(f"127.0.0.1:{http_server.port}", proxy=http_server.url) as client:
        with pytest.raises(NetError, match=why) as refused:
            await client.send(OutboundRequest("GET", url))
    assert refused.value.code == "egress_denied"
    assert http_server.connections == 0

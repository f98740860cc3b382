"""Answers that are read part by part: whole or an error, within their limits, and the connection given back."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import trustme

from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import Injected, OutboundRequest, SendTrace, StreamedContent, TlsOptions
from net.streamed import StreamedReply
from tests.fixtures.http import Answer, FaultServer, Headers, Received, Wire, calling, request_to, server_tls
from tests.fixtures.http2 import Http2Server, serving_http2
from tests.fixtures.memory import TIMES, growth_during
from tests.fixtures.waiting import until

MIB = 1024 * 1024
GZIP: Headers = [("Content-Encoding", "gzip")]
LARGE = b"0123456789" * 30_000


@pytest.fixture(autouse=True)
async def still_usable(http_client: GuardedClient, http_server: FaultServer) -> AsyncIterator[None]:
    """Whatever a test did, the client works afterwards."""
    yield
    http_server.reply("/after", body=b"fine")
    assert (await http_client.send(request_to(http_server, "/after"))).body == b"fine"


async def pauses(_: Received, wire: Wire) -> None:
    """Begin to answer, and say nothing more until the client hangs up."""
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + LARGE[:100])
    await wire.receive(1)


async def read(reply: StreamedReply) -> bytes:
    return b"".join([part async for part in reply.body])


async def measure(client: GuardedClient, request: OutboundRequest, trace: SendTrace, sizes: list[int]) -> None:
    async with client.stream(request, trace=trace) as reply:
        async for part in reply.body:
            sizes.append(len(part))


async def failure(client: GuardedClient, request: OutboundRequest, sizes: list[int] | None = None) -> NetError:
    """How reading an answer failed whose head had come; `sizes` of what came before."""
    trace = SendTrace()
    with pytest.raises(NetError) as failed:
        await measure(client, request, trace, [] if sizes is None else sizes)
    assert (trace.sent, failed.value.sent) == (Sent.ANSWERED, Sent.ANSWERED)
    return failed.value


@pytest.mark.parametrize(
    ("headers", "coded", "size"),
    [([], LARGE, len(LARGE)), (GZIP, gzip.compress(LARGE), None)],
    ids=["as it is", "compressed"],
)
async def test_a_large_answer_comes_whole_and_the_connection_is_kept(
    http_client: GuardedClient, http_server: FaultServer, headers: Headers, coded: bytes, size: int | None
) -> None:
    http_server.reply("/", body=coded, headers=[*headers, ("X-Told", "yes")])

    for _ in range(2):
        async with http_client.stream(request_to(http_server, "/?key=1", max_bytes=10)) as reply:
            assert (reply.status, reply.header("x-told"), reply.size, reply.url) == (
                *(200, "yes", size, f"{http_server.url}/"),
            )
            assert await read(reply) == LARGE
            assert reply.delimited

    assert http_server.connections == 1


async def test_a_large_answer_is_never_in_memory_as_a_whole(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def at_length(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for __ in range(64 * 16):
            await wire.send(bytes(MIB // 16))

    async def size() -> int:
        async with http_client.stream(request_to(http_server)) as reply:
            return sum([len(part) async for part in reply.body])

    http_server.on("/", at_length)
    read, grown = await growth_during(size)

    assert read == 64 * MIB
    assert grown < 16 * MIB


async def test_a_bomb_is_stopped_at_the_cap_and_given_in_small_parts(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    coder = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = b"".join([*(coder.compress(bytes(MIB)) for _ in range(64)), coder.flush()])
    http_server.reply("/", body=bomb, headers=GZIP)
    sizes: list[int] = []
    request = request_to(http_server, max_streamed=8 * MIB)
    failed, grown = await growth_during(lambda: failure(http_client, request, sizes))

    assert (failed.code, failed.status) == ("response_too_large", 200)
    assert f"more than {8 * MIB} bytes" in str(failed)
    assert sum(sizes) <= TIMES * 8 * MIB
    assert max(sizes) <= 256 * 1024
    assert grown < 16 * MIB


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + LARGE[:-1], "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + LARGE + b"\r\n", "connection_lost"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + LARGE + b"\r\nno chunk\r\n",
            "protocol_error",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(LARGE)[:-1], "undecodable_body"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nxxxx", "undecodable_body"),
    ],
    ids=["length", "last chunk missing", "chunks garbled", "gzip cut", "unknown coding"],
)
async def test_an_answer_that_is_cut_or_damaged_is_never_taken_for_whole(
    http_client: GuardedClient, http_server: FaultServer, raw: bytes, code: str
) -> None:
    http_server.script("/", raw)

    failed = await failure(http_client, request_to(http_server))

    assert failed.code == code
    assert str(failed).startswith(f"GET {http_server.url}: ")


async def test_an_answer_that_only_the_end_of_the_connection_ends_says_so(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.script("/", b"HTTP/1.1 200 OK\r\n\r\n" + LARGE)

    async with http_client.stream(request_to(http_server)) as reply:
        assert await read(reply) == LARGE
        assert not reply.delimited


@pytest.mark.parametrize("headers", [[], [("Transfer-Encoding", "chunked")]], ids=["announced", "unannounced"])
@pytest.mark.parametrize("size", [999, 1000, 1001, 200_000])
async def test_what_is_small_is_had_whole_and_what_is_not_from_its_first_byte(
    http_client: GuardedClient, http_server: FaultServer, headers: Headers, size: int
) -> None:
    body = LARGE[:size]
    http_server.reply("/", body=b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if headers else body, headers=headers)

    async with http_client.stream(request_to(http_server, max_bytes=1000)) as reply:
        whole = await reply.whole_if_small()
        rest = await read(reply)

    assert (whole.body if whole else None, rest) == ((body, body) if size <= 1000 else (None, body))


async def test_a_large_answer_to_be_read_whole_is_refused_as_send_refuses_it(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", body=LARGE)

    with pytest.raises(NetError, match="answered 200 with a body of more than 1000 bytes") as failed:
        async with http_client.stream(request_to(http_server, max_bytes=1000)) as reply:
            await reply.whole()

    assert failed.value.code == "response_too_large"


async def test_a_reader_that_leaves_early_gives_the_connection_up(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", body=LARGE * 20)

    async with http_client.stream(request_to(http_server)) as reply:
        await anext(reply.body)

    await until(lambda: http_server.open == 0)


async def test_a_reader_that_is_cancelled_gives_the_connection_up(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.on("/", pauses)
    begun = asyncio.Event()

    async def reader() -> None:
        async with http_client.stream(request_to(http_server)) as reply:
            await anext(reply.body)
            begun.set()
            await anext(reply.body)

    task = asyncio.create_task(reader())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await until(lambda: http_server.open == 0)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"stall": 0.2}, "nothing more of the answer came for 0.2 s"),
        ({"overall": 0.2}, "the answer was not complete within 0.2 s"),
    ],
    ids=["stands still", "too long in all"],
)
async def test_an_answer_that_does_not_end_is_ended(
    http_client: GuardedClient, http_server: FaultServer, limits: dict[str, Any], words: str
) -> None:
    http_server.on("/", pauses)

    failed = await failure(http_client, request_to(http_server, **limits))

    assert failed.code == "timeout"
    assert words in str(failed)


async def test_an_answer_that_keeps_coming_may_take_longer_than_deadline_and_stall_limit(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def slowly(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")
        for __ in range(10):
            await asyncio.sleep(0.1)
            await wire.send(b"slow,")

    http_server.on("/", slowly)

    async with http_client.stream(request_to(http_server, deadline=0.7, stall=0.7)) as reply:
        assert await read(reply) == b"slow," * 10


async def test_a_reader_may_take_its_time_over_a_part(http_client: GuardedClient, http_server: FaultServer) -> None:
    http_server.reply("/", body=LARGE)
    got = b""

    async with http_client.stream(request_to(http_server, stall=0.2)) as reply:
        async for part in reply.body:
            if not got:
                await asyncio.sleep(0.4)
            got += part

    assert got == LARGE


async def test_a_stream_follows_redirects_and_leaves_credentials_behind_as_send_does(
    http_client: GuardedClient, http_server: FaultServer, other_http_server: FaultServer
) -> None:
    http_server.reply("/", 302, headers=[("Location", f"{other_http_server.url}/there")])
    other_http_server.reply("/there", body=LARGE)
    request = OutboundRequest(
        "GET",
        http_server.url,
        headers=(("X-Key", "secret"), ("X-Other", "kept")),
        injected=Injected(headers=frozenset({"x-key"})),
        ports=frozenset({http_server.port, other_http_server.port}),
    )

    async with http_client.stream(request) as reply:
        assert await read(reply) == LARGE
        assert reply.url == f"{other_http_server.url}/there"

    (received,) = other_http_server.received
    assert (received.header("X-Key"), received.header("X-Other")) == (None, "kept")


async def test_a_redirect_that_is_not_followed_is_the_answer(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", 302, body=b"moved", headers=[("Location", "/there")])

    async with http_client.stream(request_to(http_server, method="POST")) as reply:
        assert (reply.status, await read(reply)) == (302, b"moved")


async def test_what_was_asked_for_plainly_comes_without_coding(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", body=LARGE)

    async with http_client.stream(request_to(http_server, plain=True)) as reply:
        assert await read(reply) == LARGE

    assert http_server.received[0].header("Accept-Encoding") == "identity"


async def test_a_plain_request_speaks_no_http_2_whose_connections_are_shared(authority: trustme.CA) -> None:
    server = Http2Server(server_tls(authority, "localhost"))
    server.reply("/")
    tls = TlsOptions(authority.cert_pem.bytes().decode())
    request = OutboundRequest("GET", "", tls=tls, deadline=5.0)

    async with serving_http2(server), calling() as client:
        request = replace(request, url=server.url, ports=frozenset({server.port}))
        shared = await client.send(request)
        for apart in (replace(request, plain=True), replace(request, content=StreamedContent(no_bytes, 0))):
            with pytest.raises(NetError):
                await client.send(apart)

    assert shared.http_version == "HTTP/2"
    assert len(server.received) == 1


async def no_bytes() -> AsyncIterator[bytes]:
    yield b""


async def test_no_answer_at_all_is_told_as_send_tells_it(http_client: GuardedClient, http_server: FaultServer) -> None:
    async def silent(_: Received, wire: Wire) -> Answer | None:
        await wire.hang()
        return None

    http_server.on("/", silent)

    with pytest.raises(NetError, match=r"no complete answer within 0\.2 s") as failed:
        async with http_client.stream(request_to(http_server, deadline=0.2)):
            raise AssertionError("there is no answer")

    assert (failed.value.code, failed.value.sent) == ("timeout", Sent.MAYBE)

"""Bodies over the wire: whole and within their limit, or refused with what is known about the request."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import DEFAULT_MAX_BYTES, OutboundRequest, SendTrace
from tests.fixtures.forked import python
from tests.fixtures.http import Answer, FaultServer, Headers, Received, Wire, request_to

MIB = 1024 * 1024
GZIP: Headers = [("Content-Encoding", "gzip")]


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """100 MiB of zeros as 100 KB of gzip."""
    pieces, coder = [], zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    pieces += [coder.compress(bytes(MIB)) for _ in range(100)]
    return b"".join([*pieces, coder.flush()])


@pytest.fixture(autouse=True)
async def still_usable(http_client: GuardedClient, http_server: FaultServer) -> AsyncIterator[None]:
    """Whatever a test did, the client works afterwards."""
    yield
    http_server.reply("/after", body=b"fine")
    assert (await http_client.send(request_to(http_server, "/after"))).body == b"fine"


async def failure(client: GuardedClient, request: OutboundRequest) -> NetError:
    """How a call failed whose request had arrived and was answered."""
    trace = SendTrace()
    with pytest.raises(NetError) as failed:
        await client.send(request, trace=trace)
    assert trace.sent == failed.value.sent
    return failed.value


SENDING_A_BOMB = """
import asyncio, gzip, sys, tracemalloc, zlib
from net.errors import NetError
from tests.fixtures.http import FaultServer, calling, request_to, serving

async def main(layers):
    coder = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    body = b"".join([*(coder.compress(bytes(1024 * 1024)) for _ in range(100)), coder.flush()])
    for _ in range(layers - 1):
        body = gzip.compress(body, 1)
    async with serving(FaultServer()) as server, calling() as client:
        server.reply("/", body=body, headers=[("Content-Encoding", ", ".join(["gzip"] * layers))])
        tracemalloc.start()
        try:
            await client.send(request_to(server))
        except NetError as error:
            print(error.code, tracemalloc.get_traced_memory()[1])

asyncio.run(main(int(sys.argv[1])))
"""


@pytest.mark.parametrize(("layers", "code"), [(1, "response_too_large"), (30, "undecodable_body")])
async def test_a_bomb_takes_less_than_20_mib_of_memory(layers: int, code: str) -> None:
    """Traced in a process of its own: here others allocate, and tracing is not safe beside Temporal's threads."""
    process = await python("-c", SENDING_A_BOMB, str(layers), stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    told, peak = output.decode().split()
    assert told == code
    assert int(peak) < 20 * MIB


async def test_a_gzip_bomb_is_stopped_at_the_cap(
    http_client: GuardedClient, http_server: FaultServer, bomb: bytes
) -> None:
    http_server.reply("/", body=bomb, headers=GZIP)
    failed = await failure(http_client, request_to(http_server, method="POST", content=b"{}"))
    assert (failed.code, failed.sent, failed.status) == ("response_too_large", Sent.ANSWERED, 200)
    assert str(failed).endswith(f"answered 200 with a body of more than {DEFAULT_MAX_BYTES} bytes")


async def test_brotli_was_not_offered_and_is_refused_undecoded(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/", body=b"\x1b\xff\xff\xff" * 30, headers=[("Content-Encoding", "br")])
    failed = await failure(http_client, request_to(http_server))
    assert (failed.code, failed.sent, failed.status) == ("undecodable_body", Sent.ANSWERED, 200)
    assert "br" not in (http_server.received[0].header("Accept-Encoding") or "")


async def test_30_layers_of_gzip_are_refused(http_client: GuardedClient, http_server: FaultServer, bomb: bytes) -> None:
    body = bomb
    for _ in range(29):
        body = gzip.compress(body, 1)
    http_server.reply("/", body=body, headers=[("Content-Encoding", ", ".join(["gzip"] * 30))])
    failed = await failure(http_client, request_to(http_server))
    assert (failed.code, failed.sent) == ("undecodable_body", Sent.ANSWERED)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_coded_body_is_decoded(http_client: GuardedClient, http_server: FaultServer, coding: str) -> None:
    body = b'{"name": "value"}' * 1000
    coded = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    http_server.reply("/", body=coded, headers=[("Content-Encoding", coding)])
    assert (await http_client.send(request_to(http_server))).body == body


@pytest.mark.parametrize("missing", [1, 8, 100])
async def test_truncated_gzip_of_the_right_length_is_not_taken_for_the_whole(
    http_client: GuardedClient, http_server: FaultServer, missing: int
) -> None:
    http_server.reply("/", body=gzip.compress(bytes(range(256)) * 40)[:-missing], headers=GZIP)
    assert (await failure(http_client, request_to(http_server))).code == "undecodable_body"


async def test_an_answer_that_announces_30_mb_is_refused_before_it_is_read(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def announce(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
        await wire.hang()

    http_server.on("/", announce)
    failed = await failure(http_client, request_to(http_server, deadline=20.0))
    assert (failed.code, failed.status) == ("response_too_large", 200)


async def test_an_endless_answer_is_stopped_at_the_cap_of_its_request(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def endless(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    http_server.on("/", endless)
    failed = await failure(http_client, request_to(http_server, max_bytes=100_000))
    assert failed.code == "response_too_large"
    assert "more than 100000 bytes" in str(failed)


async def test_a_body_of_exactly_the_cap_is_taken(http_client: GuardedClient, http_server: FaultServer) -> None:
    http_server.reply("/", body=b"x" * 1000)
    assert len((await http_client.send(request_to(http_server, max_bytes=1000))).body) == 1000
    assert (await failure(http_client, request_to(http_server, max_bytes=999))).code == "response_too_large"


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("HEAD", 200, [("Content-Length", "30000000")]),
        ("HEAD", 200, [("Content-Length", "100"), ("Content-Encoding", "br")]),
        ("HEAD", 200, [("Content-Length", "100"), ("Content-Encoding", "gzip")]),
        ("GET", 304, [("Content-Length", "30000000")]),
        ("GET", 304, [("Content-Length", "100"), ("Content-Encoding", "br")]),
        ("DELETE", 204, [("Content-Encoding", "gzip, br")]),
    ],
)
async def test_an_answer_without_a_body_may_tell_of_any(
    http_client: GuardedClient, http_server: FaultServer, method: str, status: int, headers: Headers
) -> None:
    http_server.script("/", Answer(status, headers=headers).encode(without_body=True))
    reply = await http_client.send(request_to(http_server, method=method))
    assert (reply.status, reply.body, reply.delimited) == (status, b"", True)


@pytest.mark.parametrize(
    ("head", "delimited"),
    [("Content-Length: 5", True), ("Transfer-Encoding: chunked", True), ("Connection: close", False)],
)
async def test_a_body_that_only_the_connection_ended_is_marked_as_perhaps_cut(
    http_client: GuardedClient, http_server: FaultServer, head: str, delimited: bool
) -> None:
    body = b"5\r\nwhole\r\n0\r\n\r\n" if "chunked" in head else b"whole"
    http_server.script("/", f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)
    reply = await http_client.send(request_to(http_server))
    assert (reply.body, reply.delimited) == (b"whole", delimited)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\ncut",
    ],
)
async def test_a_body_that_was_cut_is_a_lost_answer(
    http_client: GuardedClient, http_server: FaultServer, raw: bytes
) -> None:
    http_server.script("/", raw)
    failed = await failure(http_client, request_to(http_server, method="POST"))
    assert (failed.code, failed.sent) == ("connection_lost", Sent.ANSWERED)
    assert "the connection was lost before the whole answer came" in str(failed)


@pytest.mark.parametrize(
    "raw",
    [
        b"canary canary canary\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\ncanary",
        b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Canary: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00canary" * 20,
    ],
)
async def test_an_answer_that_is_no_http_is_told_as_that_and_not_repeated(
    http_client: GuardedClient, http_server: FaultServer, raw: bytes
) -> None:
    http_server.script("/", raw)
    failed = await failure(http_client, request_to(http_server))
    assert failed.code == "protocol_error"
    assert failed.sent in (Sent.MAYBE, Sent.ANSWERED)
    assert "canary" not in str(failed).lower()


@pytest.mark.parametrize("status", [200, 404, 500, 599, 999])
async def test_any_final_status_is_an_answer(http_client: GuardedClient, http_server: FaultServer, status: int) -> None:
    http_server.reply("/", status, b"body")
    assert (await http_client.send(request_to(http_server))).status == status


async def test_early_hints_before_an_answer_are_passed_over(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3
    http_server.script("/", hints + Answer(body=b"final").encode())
    assert (await http_client.send(request_to(http_server))).body == b"final"


async def test_header_values_in_utf_8_or_latin_1_are_read(http_client: GuardedClient, http_server: FaultServer) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-A: \xc3\xbc\r\nX-B: \xfc\r\nContent-Length: 0\r\n\r\n"
    http_server.script("/", raw)
    reply = await http_client.send(request_to(http_server))
    assert (reply.header("X-A"), reply.header("X-B")) == ("ü", "ü")

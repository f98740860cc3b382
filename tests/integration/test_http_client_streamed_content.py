"""Request bodies that are read while they are sent: whole, anew for every sending, and never quietly cut."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import Injected, OutboundRequest, SendTrace, StreamedContent
from tests.fixtures.http import Answer, FaultServer, Received, Wire, request_to

PIECES = (b"first,", b"", b"second,", b"third" * 1000)
WHOLE = b"".join(PIECES)
CANARY = "planted-51c0ae"


class Source:
    """Gives its pieces each time it is opened; what is an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.opened = 0
        self.closed = 0

    async def open(self) -> AsyncIterator[bytes]:
        self.opened += 1
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed += 1

    def content(self, size: int | None = None) -> StreamedContent:
        return StreamedContent(self.open, size)


@pytest.fixture(autouse=True)
async def still_usable(http_client: GuardedClient, http_server: FaultServer) -> AsyncIterator[None]:
    """Whatever a test did, the client works afterwards."""
    yield
    http_server.reply("/after", body=b"fine")
    assert (await http_client.send(request_to(http_server, "/after"))).body == b"fine"


async def failure(client: GuardedClient, request: OutboundRequest) -> NetError:
    trace = SendTrace()
    with pytest.raises(NetError) as failed:
        await client.send(request, trace=trace)
    assert trace.sent == failed.value.sent
    return failed.value


async def swallow(_: Received, wire: Wire) -> None:
    while await wire.receive(65536):
        pass


@pytest.mark.parametrize(
    ("size", "length", "coding"), [(len(WHOLE), str(len(WHOLE)), None), (None, None, "chunked")], ids=["known", "not"]
)
async def test_a_body_arrives_as_its_source_gives_it(
    http_client: GuardedClient, http_server: FaultServer, size: int | None, length: str | None, coding: str | None
) -> None:
    source = Source(*PIECES)
    http_server.reply("/", 201)

    reply = await http_client.send(request_to(http_server, method="POST", content=source.content(size)))

    (received,) = http_server.received
    assert (reply.status, received.body) == (201, WHOLE)
    assert (received.header("Content-Length"), received.header("Transfer-Encoding")) == (length, coding)
    assert (source.opened, source.closed) == (1, 1)


@pytest.mark.parametrize("size", [0, None])
async def test_a_source_without_a_byte_is_an_empty_body(
    http_client: GuardedClient, http_server: FaultServer, size: int | None
) -> None:
    http_server.reply("/", 201)

    await http_client.send(request_to(http_server, method="PUT", content=Source().content(size)))

    assert [received.body for received in http_server.received] == [b""]


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_within_the_origin_sends_the_body_anew(
    http_client: GuardedClient, http_server: FaultServer, status: int
) -> None:
    source = Source(*PIECES)
    http_server.reply("/", status, headers=[("Location", "/there")])
    http_server.reply("/there", 201)

    await http_client.send(request_to(http_server, method="POST", content=source.content(len(WHOLE))))

    assert [received.body for received in http_server.to("/there")] == [WHOLE]
    assert (source.opened, source.closed) == (2, 2)


async def test_a_body_that_holds_a_secret_does_not_follow_to_another_origin(
    http_client: GuardedClient, http_server: FaultServer, other_http_server: FaultServer
) -> None:
    source = Source(*PIECES)
    http_server.reply("/", 307, headers=[("Location", other_http_server.url)])
    request = request_to(http_server, method="GET", content=source.content(), injected=Injected(body=True))

    failed = await failure(http_client, request)

    assert (failed.code, other_http_server.received) == ("redirect_refused", [])


async def test_what_a_303_leads_to_is_asked_for_without_the_body(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    source = Source(*PIECES)
    http_server.reply("/", 303, headers=[("Location", "/there")])
    http_server.reply("/there", body=b"done")

    reply = await http_client.send(request_to(http_server, method="POST", content=source.content()))

    (received,) = http_server.to("/there")
    assert (reply.body, reply.done, received.method, received.body) == (b"done", True, "GET", b"")
    assert source.opened == 1


async def test_a_source_that_cannot_be_read_costs_no_request(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    fault = OSError(CANARY)

    failed = await failure(http_client, request_to(http_server, method="POST", content=Source(fault).content(9)))

    assert (failed.code, failed.sent, failed.reason) == ("content_failed", Sent.NO, fault)
    assert http_server.connections == 0
    assert "could not be read (OSError)" in str(failed)
    assert CANARY not in f"{failed} {failed!r}"


@pytest.mark.parametrize(
    ("pieces", "size", "words"),
    [
        ((b"x" * 100_000, OSError(CANARY)), None, "could not be read (OSError)"),
        ((b"x" * 100_000, OSError(CANARY)), 200_000, "could not be read (OSError)"),
        ((b"x" * 100_000, b"b"), 200_000, "is shorter than the 200000 bytes that were announced"),
        ((b"x" * 100_000, b"", b"b"), 100_000, "is longer than the 100000 bytes that were announced"),
    ],
    ids=["breaks", "breaks before its announced end", "is too short", "is too long"],
)
async def test_a_source_that_fails_on_the_way_leaves_a_request_that_no_server_takes_for_whole(
    http_client: GuardedClient,
    http_server: FaultServer,
    pieces: Sequence[bytes | Exception],
    size: int | None,
    words: str,
) -> None:
    arrived = bytearray()
    over = asyncio.Event()

    async def handler(_: Received, wire: Wire) -> None:
        while piece := await wire.receive(65536):
            arrived.extend(piece)
        over.set()

    http_server.on_head("/", handler)

    failed = await failure(http_client, request_to(http_server, method="POST", content=Source(*pieces).content(size)))

    await asyncio.wait_for(over.wait(), 5)
    assert (failed.code, failed.sent) == ("content_failed", Sent.MAYBE)
    assert failed.args[0].startswith(f"POST {http_server.url}: the content to send")
    assert size is None or arrived.count(b"x") < size
    assert not arrived.endswith(b"0\r\n\r\n")
    assert words in str(failed)


async def test_a_connection_that_breaks_while_the_body_is_sent_is_no_fault_of_the_source(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def handler(_: Received, wire: Wire) -> None:
        await wire.receive(65536)
        wire.reset()

    http_server.on_head("/", handler)
    source = Source(*[bytes(65536)] * 400)

    failed = await failure(http_client, request_to(http_server, method="POST", content=source.content()))

    assert (failed.code, failed.sent, failed.reason) == ("connection_lost", Sent.MAYBE, None)
    assert (source.opened, source.closed) == (1, 1)


async def test_a_body_that_moves_may_take_longer_than_the_deadline(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def open_slowly() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"slow,"
            await asyncio.sleep(0.1)

    http_server.reply("/", 201)
    request = request_to(http_server, method="POST", content=StreamedContent(open_slowly), deadline=0.6, stall=5.0)

    reply = await http_client.send(request)

    assert (reply.status, http_server.received[0].body) == (201, b"slow," * 8)


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"stall": 0.2}, "sending stood still for 0.2 s"), ({"overall": 0.2}, "or all took more than 0.2 s")],
    ids=["stands still", "never ends"],
)
async def test_a_body_that_the_provider_does_not_take_ends_at_a_limit(
    http_client: GuardedClient, http_server: FaultServer, limits: dict[str, Any], words: str
) -> None:
    async def never_reads(_: Received, wire: Wire) -> None:
        await wire.hang()

    http_server.on_head("/", never_reads)
    source = Source(*[bytes(65536)] * 1000)

    failed = await failure(http_client, request_to(http_server, method="POST", content=source.content(), **limits))

    assert (failed.code, failed.sent) == ("timeout", Sent.MAYBE)
    assert words in str(failed)
    assert (source.opened, source.closed) == (1, 1)


async def test_a_body_that_goes_on_for_ever_ends_at_the_overall_limit(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def for_ever() -> AsyncIterator[bytes]:
        while True:
            yield b"more,"
            await asyncio.sleep(0.01)

    http_server.on_head("/", swallow)
    request = request_to(http_server, method="POST", content=StreamedContent(for_ever), overall=0.3)

    assert (await failure(http_client, request)).code == "timeout"


async def test_an_answer_that_does_not_come_after_the_body_ends_at_the_deadline(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def silent(_: Received, wire: Wire) -> Answer | None:
        await wire.hang()
        return None

    http_server.on("/", silent)
    request = request_to(http_server, method="POST", content=Source(*PIECES).content(), deadline=0.3)

    failed = await failure(http_client, request)

    assert (failed.code, failed.sent) == ("timeout", Sent.MAYBE)


async def test_a_cancelled_sending_closes_its_source_and_tells_that_something_left(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    arrived = asyncio.Event()

    async def never_reads(_: Received, wire: Wire) -> None:
        arrived.set()
        await wire.hang()

    http_server.on_head("/", never_reads)
    source, trace = Source(*[bytes(65536)] * 1000), SendTrace()
    request = request_to(http_server, method="POST", content=source.content())
    task = asyncio.create_task(http_client.send(request, trace=trace))
    await arrived.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (trace.sent, source.opened, source.closed) == (Sent.MAYBE, 1, 1)

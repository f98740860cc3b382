"""HTTP/2: many calls on one connection, and what the protocol's own refusals say about a request."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import trustme
from h2.errors import ErrorCodes

from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import OutboundRequest, SendTrace, TlsOptions
from tests.fixtures.http import Answer, FaultServer, Received, calling, request_to, server_tls, serving
from tests.fixtures.http2 import Http2Server, Stream, serving_http2
from tests.fixtures.waiting import until

CANARY = "canary-4f1c9a"


@pytest.fixture
async def server(authority: trustme.CA) -> AsyncIterator[Http2Server]:
    async with serving_http2(Http2Server(server_tls(authority, "localhost"), streams=50)) as running:
        yield running


@pytest.fixture
def asked(server: Http2Server, authority_pem: str) -> "Asked":
    return Asked(server, TlsOptions(authority_pem))


class Asked:
    """Makes requests to the server."""

    def __init__(self, server: Http2Server, tls: TlsOptions) -> None:
        self._server = server
        self._tls = tls

    def __call__(
        self, path: str = "/", method: str = "GET", content: bytes = b"", deadline: float = 20.0
    ) -> OutboundRequest:
        return OutboundRequest(
            method,
            self._server.url + path,
            (("X-Api-Key", CANARY),),
            content,
            deadline=deadline,
            tls=self._tls,
            ports=frozenset({self._server.port}),
        )


async def broken(client: GuardedClient, request: OutboundRequest) -> NetError:
    trace = SendTrace()
    with pytest.raises(NetError) as failed:
        await client.send(request, trace=trace)
    assert trace.sent is failed.value.sent
    assert CANARY not in str(failed.value)
    return failed.value


async def test_a_call_goes_and_comes_whole(http_client: GuardedClient, server: Http2Server, asked: Asked) -> None:
    body = bytes(range(256)) * 2000
    server.reply("/leads", 201, body)
    reply = await http_client.send(asked("/leads?a=1", "POST", body))
    (received,) = server.received
    assert (reply.status, reply.body, reply.http_version, reply.delimited) == (201, body, "HTTP/2", True)
    assert (received.method, received.target, received.body) == ("POST", "/leads?a=1", body)
    assert received.header(":authority") == f"localhost:{server.port}"
    assert received.header("x-api-key") == CANARY


async def test_calls_at_once_share_one_connection(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    everyone = asyncio.Barrier(40)

    async def together(_: Received, __: Stream) -> Answer:
        await everyone.wait()
        return Answer(body=b"all here")

    server.reply("/first")
    await http_client.send(asked("/first"))
    server.on("/together", together)
    replies = await asyncio.gather(*(http_client.send(asked("/together")) for _ in range(40)))
    assert {reply.body for reply in replies} == {b"all here"}
    assert server.connections == 1


async def test_more_calls_than_a_server_takes_at_once_wait_for_their_turn(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    server.reply("/", body=b"served")
    replies = await asyncio.gather(*(http_client.send(asked()) for _ in range(200)))
    assert len(replies) == len(server.received) == 200


async def test_http2_can_be_switched_off(authority: trustme.CA, authority_pem: str) -> None:
    context = server_tls(authority, "localhost")
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(FaultServer(context)) as both, calling(http2=False) as client:
        reply = await client.send(request_to(both, tls=TlsOptions(authority_pem)))
    assert reply.http_version == "HTTP/1.1"


async def test_a_server_without_http2_is_asked_over_http1(
    http_client: GuardedClient, tls_server: FaultServer, authority_pem: str
) -> None:
    reply = await http_client.send(request_to(tls_server, tls=TlsOptions(authority_pem)))
    assert reply.http_version == "HTTP/1.1"


async def test_a_refused_stream_was_not_processed(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def refuse(_: Received, stream: Stream) -> None:
        await stream.reset(ErrorCodes.REFUSED_STREAM)

    server.on("/", refuse)
    failed = await broken(http_client, asked(method="POST", content=b"{}"))
    assert (failed.code, failed.sent) == ("connection_lost", Sent.NO)


@pytest.mark.parametrize("code", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.CANCEL, ErrorCodes.ENHANCE_YOUR_CALM])
async def test_a_stream_that_was_reset_for_another_reason_may_have_been_processed(
    http_client: GuardedClient, server: Http2Server, asked: Asked, code: ErrorCodes
) -> None:
    async def reset(_: Received, stream: Stream) -> None:
        await stream.reset(code)

    server.on("/", reset)
    failed = await broken(http_client, asked(method="POST", content=b"{}"))
    assert (failed.code, failed.sent) == ("connection_lost", Sent.MAYBE)


async def test_a_stream_that_was_reset_in_its_answer_was_answered(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def half(_: Received, stream: Stream) -> None:
        await stream.begin(200)
        await stream.send(b"part")
        await stream.reset(ErrorCodes.INTERNAL_ERROR)

    server.on("/", half)
    failed = await broken(http_client, asked(method="POST", content=b"{}"))
    assert (failed.code, failed.sent) == ("connection_lost", Sent.ANSWERED)


async def test_one_stream_that_was_reset_leaves_the_others_of_its_connection_alone(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    go_on = asyncio.Event()

    async def slow(_: Received, __: Stream) -> Answer:
        await go_on.wait()
        return Answer(body=b"slow but sure")

    async def reset(_: Received, stream: Stream) -> None:
        await stream.reset(ErrorCodes.INTERNAL_ERROR)

    server.on("/slow", slow)
    server.on("/reset", reset)
    waiting = asyncio.ensure_future(http_client.send(asked("/slow")))
    await until(lambda: len(server.to("/slow")) == 1)
    await broken(http_client, asked("/reset"))
    go_on.set()
    assert (await waiting).body == b"slow but sure"


async def test_a_request_that_came_after_the_last_stream_a_server_took_is_made_again_elsewhere(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def leave_once(request: Received, stream: Stream) -> Answer | None:
        if request.connection > 1:
            return Answer(201)
        await stream.go_away(stream.number - 2)
        stream.close()
        return None

    server.on("/pay", leave_once)
    await http_client.send(asked("/first"))
    trace = SendTrace()
    assert (await http_client.send(asked("/pay", "POST", b"{}"), trace=trace)).status == 201
    assert (trace.sent, server.connections) == (Sent.ANSWERED, 2)


async def test_a_request_that_was_not_taken_and_finds_no_other_connection_was_not_processed(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def leave_for_good(_: Received, stream: Stream) -> None:
        server.refuse()
        await stream.go_away(stream.number - 2)
        stream.close()

    server.on("/pay", leave_for_good)
    await http_client.send(asked("/first"))
    failed = await broken(http_client, asked("/pay", "POST", b"{}"))
    assert (failed.code, failed.sent) == ("connect_failed", Sent.NO)


async def test_a_server_that_took_no_stream_at_all_processed_nothing(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def leave(_: Received, stream: Stream) -> None:
        await stream.go_away(0, ErrorCodes.ENHANCE_YOUR_CALM)
        stream.close()

    server.on("/", leave)
    failed = await broken(http_client, asked(method="POST", content=b"{}"))
    assert (failed.code, failed.sent) == ("connection_lost", Sent.NO)
    assert "the connection was lost before the request was taken" in str(failed)


async def test_a_server_that_leaves_after_taking_a_request_may_have_processed_it(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def leave(_: Received, stream: Stream) -> None:
        await stream.go_away(stream.number)
        stream.close()

    server.on("/", leave)
    failed = await broken(http_client, asked(method="POST", content=b"{}"))
    assert (failed.code, failed.sent) == ("connection_lost", Sent.MAYBE)


async def test_a_connection_that_a_server_left_while_it_was_idle_is_replaced_and_the_request_taken_once(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def last(_: Received, stream: Stream) -> None:
        await stream.begin(200, end=True)
        await stream.go_away(stream.number)
        stream.close()

    server.on("/last", last)
    server.reply("/pay", 201)
    await http_client.send(asked("/last"))
    await until(lambda: not server.open)
    assert (await http_client.send(asked("/pay", "POST", b"{}"))).status == 201
    assert (len(server.to("/pay")), server.connections) == (1, 2)


async def test_a_connection_that_is_cut_may_have_processed_all_that_was_under_way(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    everyone = asyncio.Barrier(5)

    async def cut(_: Received, stream: Stream) -> None:
        await everyone.wait()
        stream.cut()

    server.on("/", cut)
    server.reply("/after", body=b"fine")
    requests = [asked(method="POST", content=b"{}") for _ in range(5)]
    failures = await asyncio.gather(*(broken(http_client, request) for request in requests))
    assert {(failed.code, failed.sent) for failed in failures} == {("connection_lost", Sent.MAYBE)}
    assert (await http_client.send(asked("/after"))).body == b"fine"


async def silent(_: Received, stream: Stream) -> None:
    await stream.hang()


async def hinting(_: Received, stream: Stream) -> None:
    while True:
        await stream.begin(103, [("link", "</a>")])
        await asyncio.sleep(0.005)


async def dripping(_: Received, stream: Stream) -> None:
    await stream.begin(200)
    while True:
        await stream.send(b"x")
        await asyncio.sleep(0.005)


FAULTS = {"/silent": silent, "/hinting": hinting, "/dripping": dripping}


@pytest.mark.parametrize(("path", "sent"), [("/silent", "maybe"), ("/hinting", "maybe"), ("/dripping", "answered")])
async def test_a_stream_that_never_ends_is_given_up_at_the_deadline(
    http_client: GuardedClient, server: Http2Server, asked: Asked, path: str, sent: str
) -> None:
    server.on(path, FAULTS[path])
    failed = await broken(http_client, asked(path, deadline=0.2))
    assert (failed.code, failed.sent) == ("timeout", sent)


async def test_a_call_that_is_given_up_ends_no_other_on_its_connection(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    go_on = asyncio.Event()

    async def slow(_: Received, __: Stream) -> Answer:
        await go_on.wait()
        return Answer(body=b"slow but sure")

    server.on("/slow", slow)
    server.on("/silent", silent)
    waiting = asyncio.ensure_future(http_client.send(asked("/slow")))
    await until(lambda: len(server.to("/slow")) == 1)
    assert (await broken(http_client, asked("/silent", deadline=0.1))).code == "timeout"
    go_on.set()
    assert (await waiting).body == b"slow but sure"
    assert {request.connection for request in server.received} == {1}


async def test_calls_work_after_hundreds_that_were_given_up(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    for path, fault in FAULTS.items():
        server.on(path, fault)
    paths = [path for path in FAULTS for _ in range(70)]
    failures = await asyncio.gather(*(broken(http_client, asked(path, deadline=0.3)) for path in paths))
    in_time = [failed for failed in failures if failed.code == "timeout"]
    in_vain = [(failed.code, failed.sent) for failed in failures if failed.code != "timeout"]
    assert len(in_time) >= 50
    # They got the place of a stream that was given up, or the server closed the connection for one stream too many.
    assert set(in_vain) <= {("connection_lost", Sent.NO), ("connection_lost", Sent.MAYBE)}
    server.reply("/after", body=b"fine")
    replies = await asyncio.gather(*(http_client.send(asked("/after")) for _ in range(100)))
    assert {reply.body for reply in replies} == {b"fine"}


async def test_a_body_without_end_is_stopped_at_the_cap(
    http_client: GuardedClient, server: Http2Server, asked: Asked
) -> None:
    async def endless(_: Received, stream: Stream) -> None:
        await stream.begin(200)
        while True:
            await stream.send(bytes(65_536))

    server.on("/", endless)
    server.reply("/after", body=b"fine")
    failed = await broken(http_client, asked())
    assert (failed.code, failed.sent, failed.status) == ("response_too_large", Sent.ANSWERED, 200)
    assert (await http_client.send(asked("/after"))).body == b"fine"


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100, bytes(9)])
async def test_an_answer_that_is_no_http2_is_a_lost_answer(
    http_client: GuardedClient, server: Http2Server, asked: Asked, garbage: bytes
) -> None:
    async def babble(_: Received, stream: Stream) -> None:
        await stream.babble(garbage + CANARY.encode())
        stream.close()

    server.on("/", babble)
    failed = await broken(http_client, asked(method="POST", content=b"{}", deadline=2.0))
    assert failed.code in ("connection_lost", "protocol_error")
    assert failed.sent is Sent.MAYBE

"""Was it sent? For every way in which a call can break off, what the client says beside what the server received."""

import asyncio

import pytest

from net.client import GuardedClient
from net.errors import Code, NetError, Sent
from net.messages import OutboundRequest, SendTrace
from tests.fixtures.http import Answer, FaultServer, Received, Wire, request_at, request_to
from tests.fixtures.waiting import until


async def broken(client: GuardedClient, request: OutboundRequest) -> tuple[Code, Sent]:
    trace = SendTrace()
    with pytest.raises(NetError) as failed:
        await client.send(request, trace=trace)
    assert trace.sent is failed.value.sent
    return failed.value.code, failed.value.sent


def posting(server: FaultServer, path: str = "/") -> OutboundRequest:
    return request_to(server, path, "POST", content=b'{"amount": 100}')


async def test_a_refused_connection_means_not_sent(http_client: GuardedClient, http_server: FaultServer) -> None:
    request = posting(http_server)
    await http_server.stop()
    assert await broken(http_client, request) == ("connect_failed", Sent.NO)


async def test_a_refused_connection_says_why(http_client: GuardedClient, http_server: FaultServer) -> None:
    request, url = posting(http_server), http_server.url
    await http_server.stop()
    with pytest.raises(NetError) as failed:
        await http_client.send(request)
    assert str(failed.value) == f"POST {url}: no connection: connection refused"


async def test_a_failed_handshake_means_not_sent(http_client: GuardedClient, tls_server: FaultServer) -> None:
    assert await broken(http_client, posting(tls_server)) == ("tls_failed", Sent.NO)
    assert tls_server.received == []


async def test_a_connection_that_is_cut_during_the_handshake_means_not_sent(http_client: GuardedClient) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        request = request_at(server.sockets[0].getsockname()[1], "POST", scheme="https")
        assert await broken(http_client, request) == ("tls_failed", Sent.NO)


async def test_a_connection_closed_after_the_request_was_read_means_maybe(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.script("/", b"")
    assert await broken(http_client, posting(http_server)) == ("connection_lost", Sent.MAYBE)
    assert len(http_server.received) == 1


async def test_a_connection_reset_after_the_request_was_read_means_maybe(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.script("/", b"", reset=True)
    assert await broken(http_client, posting(http_server)) == ("connection_lost", Sent.MAYBE)
    assert len(http_server.received) == 1


async def test_a_connection_closed_before_the_request_was_read_means_maybe(http_client: GuardedClient) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        request = request_at(server.sockets[0].getsockname()[1], "POST", content=b"{}")
        assert await broken(http_client, request) == ("connection_lost", Sent.MAYBE)


async def test_an_answer_cut_in_its_head_means_maybe(http_client: GuardedClient, http_server: FaultServer) -> None:
    http_server.script("/", b"HTTP/1.1 200 OK\r\nContent-Le")
    assert await broken(http_client, posting(http_server)) == ("connection_lost", Sent.MAYBE)


async def test_only_early_hints_and_then_nothing_means_maybe(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.script("/", b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert await broken(http_client, posting(http_server)) == ("connection_lost", Sent.MAYBE)


@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_cut_in_its_body_means_answered(
    http_client: GuardedClient, http_server: FaultServer, reset: bool
) -> None:
    http_server.script("/", b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\npart", reset=reset)
    code, sent = await broken(http_client, posting(http_server))
    assert (code, sent) == ("connection_lost", Sent.ANSWERED)


async def test_a_kept_connection_that_is_cut_with_the_next_request_means_maybe_and_is_not_tried_again(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    await http_client.send(request_to(http_server))
    http_server.script("/pay", b"")
    assert await broken(http_client, posting(http_server, "/pay")) == ("connection_lost", Sent.MAYBE)
    assert (len(http_server.to("/pay")), http_server.connections) == (1, 1)


async def test_a_kept_connection_that_the_server_closed_while_idle_is_replaced_and_the_request_sent_once(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.script("/", Answer(body=b"last on this connection").encode())
    await http_client.send(request_to(http_server))
    await until(lambda: not http_server.open)
    http_server.reply("/pay", 201)
    trace = SendTrace()
    assert (await http_client.send(posting(http_server, "/pay"), trace=trace)).status == 201
    assert trace.sent is Sent.ANSWERED
    assert (len(http_server.to("/pay")), http_server.connections) == (1, 2)


async def test_an_early_refusal_of_a_large_body_is_an_answer(http_client: GuardedClient) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        while await reader.read(65_536):
            pass
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        request = request_at(server.sockets[0].getsockname()[1], "POST", content=bytes(5_000_000))
        assert (await http_client.send(request)).status == 413


async def test_a_connection_lost_in_the_middle_of_the_body_means_maybe(http_client: GuardedClient) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(200_000)
        writer.transport.abort()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        request = request_at(server.sockets[0].getsockname()[1], "POST", content=bytes(30_000_000))
        assert await broken(http_client, request) == ("connection_lost", Sent.MAYBE)


async def test_a_trace_starts_with_no_and_ends_with_the_answer(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    seen: list[Sent] = []
    trace = SendTrace()

    async def look(_: Received, __: Wire) -> Answer:
        seen.append(trace.sent)
        return Answer()

    http_server.on("/", look)
    seen.append(trace.sent)
    await http_client.send(posting(http_server), trace=trace)
    assert [*seen, trace.sent] == [Sent.NO, Sent.MAYBE, Sent.ANSWERED]

"""Deadlines and cancellation: a call ends on time whatever the server does, and leaves the pool as it was."""

import asyncio
import gc
import time
import warnings
from collections.abc import Awaitable, Callable

import psutil
import pytest

import net.client
import net.pools
from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import SendTrace
from net.pools import MAX_CONNECTIONS
from tests.fixtures.http import Answer, FaultServer, Received, Wire, calling, request_at, request_to
from tests.fixtures.waiting import until

OK = b"HTTP/1.1 200 OK\r\n"


async def drip_body(_: Received, wire: Wire) -> None:
    await wire.send(OK + b"Content-Length: 1000000\r\n\r\n")
    await wire.drip(b"x", every=0.01)


async def drip_chunks(_: Received, wire: Wire) -> None:
    await wire.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    await wire.drip(b"1\r\nx\r\n", every=0.005)


async def drip_headers(_: Received, wire: Wire) -> None:
    await wire.send(OK)
    await wire.drip(b"X-Drip: x\r\n", every=0.005)


async def drip_first_line(_: Received, wire: Wire) -> None:
    await wire.drip(b"H", every=0.01)


async def endless_early_hints(_: Received, wire: Wire) -> None:
    while True:
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await asyncio.sleep(0.005)


async def silence(_: Received, wire: Wire) -> None:
    await wire.hang()


FAULTS = [drip_body, drip_chunks, drip_headers, drip_first_line, endless_early_hints, silence]
Fault = Callable[[Received, Wire], Awaitable[None]]


async def all_places_are_free(client: GuardedClient, server: FaultServer) -> None:
    """As many calls at once as a pool has places are all answered, only once all of them are there."""
    everyone = asyncio.Barrier(MAX_CONNECTIONS)

    async def together(_: Received, __: Wire) -> Answer:
        await everyone.wait()
        return Answer()

    server.on("/together", together)
    request = request_to(server, "/together")
    await asyncio.gather(*(client.send(request) for _ in range(MAX_CONNECTIONS)))


async def ending(client: GuardedClient, server: FaultServer, path: str = "/", deadline: float = 0.05) -> NetError:
    with pytest.raises(NetError) as ended:
        await client.send(request_to(server, path, deadline=deadline))
    return ended.value


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_never_comes_to_an_end_is_given_up_at_the_deadline(
    http_client: GuardedClient, http_server: FaultServer, fault: Fault
) -> None:
    http_server.on("/", fault)
    started = time.monotonic()
    ended = await ending(http_client, http_server, deadline=0.3)
    assert 0.29 < time.monotonic() - started < 3
    assert ended.code == "timeout"
    assert str(ended) == f"GET {http_server.url}: no complete answer within 0.3 s"
    assert ended.sent is (Sent.ANSWERED if fault in (drip_body, drip_chunks) else Sent.MAYBE)


async def test_the_pool_is_healthy_after_hundreds_of_bodies_headers_and_hints_that_dripped(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    for number, fault in enumerate(FAULTS):
        http_server.on(f"/{number}", fault)
    at_once = asyncio.Semaphore(MAX_CONNECTIONS)

    async def call(number: int) -> str:
        async with at_once:
            return (await ending(http_client, http_server, f"/{number % len(FAULTS)}", deadline=0.2)).code

    codes: set[str] = set()
    while len(http_server.received) <= 200:  # on a busy machine some are given up before they arrive
        codes.update(await asyncio.gather(*map(call, range(100))))
    assert codes == {"timeout"}
    await all_places_are_free(http_client, http_server)


async def test_calls_that_are_cancelled_at_any_moment_leave_the_pool_healthy(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.on("/drip", drip_body)
    for number in range(150):
        path = "/drip" if number % 2 else "/"
        call = asyncio.ensure_future(http_client.send(request_to(http_server, path)))
        for _ in range(number % 50):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await all_places_are_free(http_client, http_server)


async def test_a_cancelled_call_tells_how_far_its_request_got(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.on("/", silence)
    trace = SendTrace()
    call = asyncio.ensure_future(http_client.send(request_to(http_server, method="POST"), trace=trace))
    await until(lambda: len(http_server.received) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert trace.sent is Sent.MAYBE


async def test_handshakes_that_never_end_leave_no_socket_behind(http_client: GuardedClient) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    process = psutil.Process()
    async with await asyncio.start_server(deaf, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        before = process.num_fds()
        with warnings.catch_warnings(record=True, action="always", category=ResourceWarning) as left_to_the_collector:
            request = request_at(port, scheme="https", deadline=0.05)
            results = await asyncio.gather(*(http_client.send(request) for _ in range(60)), return_exceptions=True)
            await until(lambda: process.num_fds() <= before)
            gc.collect()
    assert {(error.code, error.sent) for error in results if isinstance(error, NetError)} == {("timeout", Sent.NO)}
    assert not left_to_the_collector


async def test_a_busy_pool_is_told_as_that_and_nothing_was_sent(
    http_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net.pools, "MAX_CONNECTIONS", 2)
    monkeypatch.setitem(net.client._TIMEOUTS, "pool", 0.05)
    http_server.on("/", silence)
    trace = SendTrace()
    async with calling() as client:
        busy = [asyncio.ensure_future(client.send(request_to(http_server))) for _ in range(2)]
        await until(lambda: len(http_server.received) == 2)
        with pytest.raises(NetError, match="all connections to this host were busy for too long") as full:
            await client.send(request_to(http_server, method="POST"), trace=trace)
        for call in busy:
            call.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        http_server.reply("/")
        assert (await client.send(request_to(http_server))).status == 200
    assert (full.value.code, full.value.sent, trace.sent) == ("pool_timeout", Sent.NO, Sent.NO)


async def test_a_slow_host_does_not_use_up_the_places_of_another(
    http_server: FaultServer, other_http_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net.pools, "MAX_CONNECTIONS", 1)
    http_server.on("/", silence)
    async with calling() as client:
        stuck = asyncio.ensure_future(client.send(request_to(http_server)))
        await until(lambda: len(http_server.received) == 1)
        assert (await client.send(request_to(other_http_server))).status == 404
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)


async def test_the_deadline_holds_over_all_redirects_together(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    async def slow_redirect(_: Received, __: Wire) -> Answer:
        await asyncio.sleep(0.15)
        return Answer(302, headers=[("Location", "/")])

    http_server.on("/", slow_redirect)
    started = time.monotonic()
    assert (await ending(http_client, http_server, deadline=0.4)).code == "timeout"
    assert time.monotonic() - started < 3


async def test_a_server_that_takes_no_body_is_given_up_at_the_deadline(
    http_client: GuardedClient,
) -> None:
    deaf, held = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        deaf.set()
        await held.wait()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NetError) as ended:
            await http_client.send(request_at(port, "POST", content=bytes(30_000_000), deadline=0.3))
        held.set()
    assert deaf.is_set()
    assert (ended.value.code, ended.value.sent) == ("timeout", Sent.MAYBE)

"""Policy at dial time: what is closed gets no packet, under whatever name or spelling it is asked for."""

import asyncio
import socket

import pytest

import net.resolver
from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import OutboundRequest, SendTrace
from tests.fixtures.http import FaultServer, Names, calling, request_to


async def refusal(client: GuardedClient, request: OutboundRequest) -> NetError:
    trace = SendTrace()
    with pytest.raises(NetError) as refused:
        await client.send(request, trace=trace)
    assert (refused.value.sent, trace.sent) == (Sent.NO, Sent.NO)
    return refused.value


async def test_a_host_that_is_the_metadata_address_and_then_this_machine_by_rebinding_gets_no_packet(
    http_server: FaultServer,
) -> None:
    names = Names(rebind_example=["169.254.169.254", "127.0.0.1"])
    request = request_to(http_server, url=f"http://rebind.example:{http_server.port}/")
    async with calling("203.0.113.1", resolver=names) as client:
        first = await refusal(client, request)
        second = await refusal(client, request)
    assert (first.code, second.code) == ("egress_denied", "egress_denied")
    assert "rebind.example is 169.254.169.254, which is a cloud metadata address" in str(first)
    assert "rebind.example is 127.0.0.1, which is a loopback address" in str(second)
    assert http_server.connections == 0


async def test_a_name_that_was_allowed_is_checked_again_with_every_new_connection(http_server: FaultServer) -> None:
    names = Names(rebind_example=["127.0.0.1", "127.0.0.2"])
    http_server.reply("/", headers=[("Connection", "close")])
    request = request_to(http_server, url=f"http://rebind.example:{http_server.port}/")
    async with calling("127.0.0.1", resolver=names) as client:
        assert (await client.send(request)).status == 200
        refused = await refusal(client, request)
    assert refused.code == "egress_denied"
    assert http_server.connections == 1


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("2130706433", "is 127.0.0.1, which is a loopback address, closed by the egress policy"),
        ("127.1", "is 127.0.0.1, which is a loopback address, closed by the egress policy"),
        ("0x7f000001", "is 127.0.0.1, which is a loopback address, closed by the egress policy"),
        ("017700000001", "is 127.0.0.1, which is a loopback address, closed by the egress policy"),
        ("127.0.0.1.", "127.0.0.1 is a loopback address, closed by the egress policy"),
        ("１２７。0。0。1", "127.0.0.1 is a loopback address, closed by the egress policy"),
        ("LOCALHOST", "which is a loopback address, closed by the egress policy"),
        ("0", "is 0.0.0.0, which is an unspecified address, closed by the egress policy"),
        ("[::1]", "::1 is a loopback address, closed by the egress policy"),
        ("[::]", ":: is an unspecified address, closed by the egress policy"),
        ("[::ffff:7f00:1]", "is a loopback address, closed by the egress policy"),
        ("[::7f00:1]", "is an IPv4 embedded in IPv6 address, closed by the egress policy"),
        ("[64:ff9b::a9fe:a9fe]", "is a cloud metadata address, closed by the egress policy"),
        ("[2002:7f00:1::]", "is an IPv4 through 6to4 address, closed by the egress policy"),
        ("169.254.169.254", "is a cloud metadata address, closed by the egress policy"),
        ("10.0.0.1", "is a private address, closed by the egress policy"),
        ("x@127.0.0.1", "the URL must not hold a user name or password"),
        ("api.example\\@127.0.0.1", "the URL must not hold a backslash"),
    ],
)
async def test_every_spelling_of_a_closed_address_is_refused_by_a_rule_that_is_named(
    http_server: FaultServer, host: str, rule: str
) -> None:
    async with calling("203.0.113.1") as client:
        refused = await refusal(client, request_to(http_server, url=f"http://{host}:{http_server.port}/"))
    assert refused.code in ("egress_denied", "invalid_request")
    assert rule in str(refused)
    assert http_server.connections == 0


async def test_an_address_that_a_rule_names_is_reached_under_any_name(http_server: FaultServer) -> None:
    url = f"http://crm.internal:{http_server.port}/"
    async with calling(f"127.0.0.1:{http_server.port}", resolver=Names(crm_internal=["127.0.0.1"])) as client:
        reply = await client.send(OutboundRequest("GET", url))
    assert reply.status == 404
    assert http_server.received[0].header("Host") == f"crm.internal:{http_server.port}"


async def test_a_dead_address_of_a_host_is_passed_over(http_server: FaultServer) -> None:
    url = f"http://crm.internal:{http_server.port}/"
    names = Names(crm_internal=["::1 127.0.0.1"])
    async with calling("::1", "127.0.0.1", resolver=names) as client:
        assert (await client.send(request_to(http_server, url=url))).status == 404


async def test_a_port_that_nobody_opened_gets_no_packet(http_server: FaultServer) -> None:
    async with calling("127.0.0.1") as client:
        refused = await refusal(client, OutboundRequest("GET", http_server.url))
    assert refused.code == "egress_denied"
    assert http_server.connections == 0


@pytest.mark.parametrize("host", ["gone.invalid", "a" * 63 + ".invalid", "under_score.invalid"])
async def test_a_name_without_an_address_is_told_as_that(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with calling() as client:
        refused = await refusal(client, OutboundRequest("GET", f"https://{host}/?k=canary"))
    assert refused.code == "dns_failed"
    assert str(refused) == f"GET https://{host}: {host} cannot be looked up: Name or service not known"


async def test_a_name_server_that_does_not_answer_holds_up_neither_the_call_nor_the_process(
    monkeypatch: pytest.MonkeyPatch, http_server: FaultServer
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*_: object, **__: object) -> list[object]:
        loop.call_soon_threadsafe(asked.set)
        asyncio.run_coroutine_threadsafe(answered.wait(), loop).result(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(net.resolver, "LOOKUP_TIMEOUT", 0.2)
    async with calling() as client:
        stuck = asyncio.ensure_future(refusal(client, OutboundRequest("GET", "https://slow.example/")))
        await asked.wait()
        assert (await client.send(request_to(http_server))).status == 404
        refused = await stuck
    answered.set()
    assert refused.code == "dns_failed"
    assert "took longer than" in str(refused)

"""Connections are kept between calls, and a call that ended badly leaves nothing of it behind."""

import asyncio

import psutil
import pytest

import net.pools
from net.client import GuardedClient
from net.errors import NetError
from net.messages import TlsOptions
from tests.fixtures.http import Answer, FaultServer, Received, Wire, calling, request_to
from tests.fixtures.waiting import until


async def test_many_calls_in_turn_use_one_connection(http_client: GuardedClient, http_server: FaultServer) -> None:
    http_server.reply("/leads", body=b"{}")
    replies = [await http_client.send(request_to(http_server, "/leads")) for _ in range(50)]
    assert [reply.body for reply in replies] == [b"{}"] * 50
    assert http_server.connections == 1


async def test_calls_at_once_use_a_connection_each_and_leave_them_for_the_next(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    everyone = asyncio.Barrier(20)

    async def together(_: Received, __: Wire) -> Answer:
        await everyone.wait()
        return Answer()

    http_server.on("/together", together)
    for _ in range(3):
        await asyncio.gather(*(http_client.send(request_to(http_server, "/together")) for _ in range(20)))
    assert http_server.connections == 20


async def test_a_request_arrives_as_it_was_asked_for(http_client: GuardedClient, http_server: FaultServer) -> None:
    http_server.reply("/leads", 201, b"made", [("X-Id", "7"), ("X-Id", "8")])
    request = request_to(http_server, "/leads?a=1&a=2", "POST", headers=(("X-Key", "k"),), content=b"{}")
    reply = await http_client.send(request)
    (received,) = http_server.received
    assert (received.method, received.target, received.body) == ("POST", "/leads?a=1&a=2", b"{}")
    assert dict(received.headers) == {
        "Host": f"127.0.0.1:{http_server.port}",
        "Accept-Encoding": "gzip, deflate",
        "X-Key": "k",
        "Accept": "*/*",
        "User-Agent": "tieline",
        "Content-Length": "2",
    }
    assert (reply.status, reply.body, reply.http_version) == (201, b"made", "HTTP/1.1")
    assert [value for name, value in reply.headers if name == "X-Id"] == ["7", "8"]
    assert reply.url == f"{http_server.url}/leads"


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("HEAD", None), ("DELETE", None), ("POST", "0"), ("PUT", "0"), ("PATCH", "0")]
)
async def test_an_absent_body_has_a_length_where_a_method_expects_one(
    http_client: GuardedClient, http_server: FaultServer, method: str, length: str | None
) -> None:
    http_server.reply("/")
    await http_client.send(request_to(http_server, method=method))
    assert http_server.received[0].header("Content-Length") == length


async def test_own_accept_and_user_agent_replace_the_usual_ones(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    headers = (("accept", "text/csv"), ("user-agent", "crm"))
    await http_client.send(request_to(http_server, headers=headers))
    names = [name.lower() for name, _ in http_server.received[0].headers]
    assert (names.count("accept"), names.count("user-agent")) == (1, 1)
    assert http_server.received[0].header("Accept") == "text/csv"


async def test_a_connection_that_the_server_closed_while_it_was_idle_is_replaced(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    closed = asyncio.Event()

    async def answer_and_close(_: Received, wire: Wire) -> None:
        await wire.send(Answer(body=b"1").encode())
        wire.close()
        closed.set()

    http_server.on("/", answer_and_close)
    assert (await http_client.send(request_to(http_server))).body == b"1"
    await closed.wait()
    await until(lambda: not http_server.open)
    http_server.reply("/", body=b"2")
    assert (await http_client.send(request_to(http_server, method="POST"))).body == b"2"
    assert len(http_server.received) == 2


async def test_a_connection_that_has_been_idle_for_some_seconds_is_not_used_again(
    http_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net.pools, "KEEPALIVE_EXPIRY", 0.05)
    async with calling() as client:
        await client.send(request_to(http_server))
        await until(lambda: not http_server.open)
        await client.send(request_to(http_server))
    assert http_server.connections == 2


async def test_accounts_with_certificates_of_their_own_share_no_connection(
    http_client: GuardedClient, tls_server: FaultServer, authority_pem: str
) -> None:
    tls_server.reply("/")
    for options in (TlsOptions(authority_pem), TlsOptions(authority_pem + "\n"), TlsOptions(authority_pem)):
        await http_client.send(request_to(tls_server, tls=options))
    assert [request.connection for request in tls_server.received] == [1, 2, 1]


async def test_a_port_that_only_one_integration_may_use_stays_closed_to_another_with_the_connection_open(
    http_server: FaultServer,
) -> None:
    async with calling("127.0.0.1") as client:
        await client.send(request_to(http_server))
        request = request_to(http_server)
        with pytest.raises(NetError, match="closed by the egress policy") as refused:
            await client.send(type(request)("GET", request.url))
    assert refused.value.code == "egress_denied"
    assert http_server.connections == 1


async def test_closing_the_client_closes_its_connections(http_server: FaultServer) -> None:
    async with calling() as client:
        await asyncio.gather(*(client.send(request_to(http_server)) for _ in range(5)))
    await until(lambda: not http_server.open)


async def test_a_client_that_was_closed_leaves_no_file_descriptor(http_server: FaultServer) -> None:
    process = psutil.Process()
    before = process.num_fds()
    for _ in range(20):
        async with calling() as client:
            await client.send(request_to(http_server))
    await until(lambda: not http_server.open)
    assert process.num_fds() <= before + 2

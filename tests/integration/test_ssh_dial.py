"""The way to a server: the egress policy, deadlines, and peers that are no SSH servers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from net.addresses import IPAddress
from net.egress import AllowRule, EgressPolicy
from net.resolver import SystemResolver
from net.ssh_pool import SshConnections
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.ssh_connections import reach, refusal, server_at, ssh_connections
from tests.fixtures.sshd import HOST

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def _peer(serve: Serve) -> AsyncIterator[int]:
    """The port of something that listens, and is no SSH server."""

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(quietly, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _long_winded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * 200_000)
    await writer.drain()
    await reader.read()


async def _talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"welcome\r\n" * 22_000)
    await writer.drain()
    await reader.read()


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def _hanging_in_key_exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-Sloth\r\n")
    await writer.drain()
    while await reader.read(65536):
        pass


@pytest.mark.parametrize("serve", [_silent, _dripping, _hanging_in_key_exchange])
async def test_a_peer_that_keeps_us_waiting_is_left_at_the_deadline(serve: Serve) -> None:
    async with _peer(serve) as port, ssh_connections(connect_timeout=0.3) as connections:
        began = time.monotonic()
        refused = await refusal(connections, server_at(port))

    assert refused.code == "connect_failed"
    assert f"{HOST}:{port} did not let us in within 0.3 s" in str(refused)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("serve", [_long_winded, _talkative, _http])
async def test_a_peer_that_speaks_no_ssh_is_left_at_once(serve: Serve, connections: SshConnections) -> None:
    async with _peer(serve) as port:
        refused = await refusal(connections, server_at(port))

    assert refused.code == "connect_failed"
    assert f"{HOST}:{port} ended the connection before the login" in str(refused)


async def test_a_port_where_nobody_listens_is_an_error_of_the_connection(connections: SshConnections) -> None:
    async with _peer(_silent) as port:
        pass

    refused = await refusal(connections, server_at(port))

    assert refused.code == "connect_failed"
    assert str(refused) == f"{HOST}:{port} cannot be reached: connection refused"


async def test_a_name_that_does_not_exist_is_told_as_that(connections: SshConnections) -> None:
    refused = await refusal(connections, replace(server_at(22), host="no-such-host.invalid"))

    assert refused.code == "dns_failed"


@pytest.mark.parametrize(
    ("rules", "own_port", "said"),
    [
        ([], True, "closed by the egress policy"),
        (["127.0.0.1"], False, "closed by the egress policy"),
        (["10.0.0.0/8"], True, "closed by the egress policy"),
    ],
)
async def test_the_egress_policy_decides_before_a_packet_is_sent(
    faulty: FaultySftp, rules: list[str], own_port: bool, said: str
) -> None:
    resolver = SystemResolver()
    connections = SshConnections(EgressPolicy([AllowRule.parse(rule) for rule in rules]), resolver)

    refused = await refusal(connections, faulty.server(ports=frozenset({faulty.port} if own_port else ())))

    assert refused.code == "egress_denied"
    assert said in str(refused)
    assert faulty.connections == 0
    await connections.aclose()
    resolver.close()


@pytest.mark.parametrize("first", ["10.0.0.1", "127.0.0.2"])
async def test_of_several_addresses_one_is_taken_that_is_allowed_and_answers(faulty: FaultySftp, first: str) -> None:
    async def resolve(host: str) -> list[IPAddress]:
        return [ip_address(first), ip_address(HOST)]

    policy = EgressPolicy([AllowRule.parse(HOST), AllowRule.parse("127.0.0.2")])
    connections = SshConnections(policy, resolve)

    reached = await reach(connections, faulty.server(host="sftp.example"))

    await connections.aclose()
    assert reached == "/"


async def test_a_name_that_leads_to_a_closed_address_is_refused(faulty: FaultySftp) -> None:
    async def resolve(host: str) -> list[IPAddress]:
        return [ip_address("169.254.169.254")]

    connections = SshConnections(EgressPolicy([AllowRule.parse(HOST)]), resolve)

    refused = await refusal(connections, faulty.server(host="sftp.example"))

    await connections.aclose()
    assert refused.code == "egress_denied"
    assert "sftp.example is 169.254.169.254" in str(refused)


async def test_the_accounts_own_ports_are_open_where_the_address_is_allowed(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    assert await reach(connections, faulty.server(ports=frozenset({faulty.port}))) == "/"

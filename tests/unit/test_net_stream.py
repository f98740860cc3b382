"""Whether an idle connection is still good is known without reading from it."""

from collections.abc import AsyncIterator

import pytest
import trustme
from httpcore2 import AsyncNetworkStream

from net.dialing import GuardedBackend
from net.egress import AllowRule, EgressPolicy
from net.messages import TlsOptions
from net.tls import ssl_context
from tests.fixtures.http import FaultServer, Names, Received, Wire, server_tls, serving
from tests.fixtures.waiting import until

REQUEST = b"GET / HTTP/1.1\r\nHost: server\r\n\r\n"


@pytest.fixture(params=["plain", "under TLS"])
async def server(request: pytest.FixtureRequest, authority: trustme.CA) -> AsyncIterator[FaultServer]:
    tls = server_tls(authority, "localhost") if request.param == "under TLS" else None
    async with serving(FaultServer(tls)) as running:
        yield running


@pytest.fixture
async def stream(server: FaultServer, authority_pem: str) -> AsyncIterator[AsyncNetworkStream]:
    """A connection to the server as the pool gets it."""
    policy = EgressPolicy([AllowRule.parse("127.0.0.1")])
    stream = await GuardedBackend(policy, Names(), frozenset({server.port})).connect_tcp("127.0.0.1", server.port)
    if server.url.startswith("https"):
        stream = await stream.start_tls(ssl_context(TlsOptions(ca_pem=authority_pem)), "localhost")
    yield stream
    await stream.aclose()


async def test_a_connection_that_was_answered_and_is_kept_open_has_nothing_to_read(
    server: FaultServer, stream: AsyncNetworkStream
) -> None:
    server.reply("/", body=b"answer")
    await stream.write(REQUEST)
    assert (await stream.read(1000)).endswith(b"answer")
    assert stream.get_extra_info("is_readable") is False


async def test_a_connection_that_the_other_side_closed_has_its_end_to_read(
    server: FaultServer, stream: AsyncNetworkStream
) -> None:
    async def hang_up(_: Received, __: Wire) -> None:
        return None

    server.on("/", hang_up)
    await stream.write(REQUEST)
    await until(lambda: stream.get_extra_info("is_readable"))


async def test_a_connection_that_was_closed_here_counts_as_ended(stream: AsyncNetworkStream) -> None:
    await stream.aclose()
    assert stream.get_extra_info("is_readable") is True


async def test_the_rest_is_told_by_the_transport(server: FaultServer, stream: AsyncNetworkStream) -> None:
    assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)

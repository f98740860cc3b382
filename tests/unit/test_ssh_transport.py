"""What asyncssh writes packet by packet goes out in one piece, in order, and not without an end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing

import pytest_asyncio

from net.ssh_transport import DialledSocket


class _Writer(asyncio.Protocol):
    """Keeps the transport that it was given."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.received = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.received.set()


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[tuple[_Writer, asyncio.Transport, socket.socket]]:
    """The writer, its transport, and the socket that gets what is written, each write as one message."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    far.setblocking(False)
    with closing(far):
        _, writer = await DialledSocket(near).create_connection(_Writer, "files.example", 22)
        assert isinstance(writer, _Writer)
        assert writer.transport is not None
        yield writer, writer.transport, far
        writer.transport.abort()


async def test_what_is_written_in_one_turn_is_sent_in_one_piece(
    ends: tuple[_Writer, asyncio.Transport, socket.socket],
) -> None:
    _, transport, far = ends

    transport.write(b"one ")
    transport.write(b"two")

    assert not _ready(far)
    assert await asyncio.get_running_loop().sock_recv(far, 100) == b"one two"


async def test_the_last_words_are_sent_before_the_end(
    ends: tuple[_Writer, asyncio.Transport, socket.socket],
) -> None:
    _, transport, far = ends
    loop = asyncio.get_running_loop()

    transport.write(b"goodbye")
    transport.close()

    assert await loop.sock_recv(far, 100) == b"goodbye"
    assert await loop.sock_recv(far, 100) == b""


async def test_what_comes_goes_to_the_protocol_itself(
    ends: tuple[_Writer, asyncio.Transport, socket.socket],
) -> None:
    writer, _, far = ends

    far.send(b"hello")

    await asyncio.wait_for(writer.received.wait(), 10)


def _ready(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False

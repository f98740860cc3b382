"""One HTTP/1.1 connection of which the server decides how it ends; h11 reads and writes the messages."""

import asyncio
import contextlib
import socket
import struct
from typing import Literal

import h11

READ_SIZE = 64 * 1024
LINGER_NOT = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing discards what is unsent and sends RST instead of FIN (socket(7))."""


class Wire:
    """The server's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def request(self) -> h11.Request | None:
        """The head of the next request; None when there is none."""
        if self._writer.is_closing():
            return None
        event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def body(self) -> None:
        """Read the request to its end.

        Raises:
            ConnectionError: the client was gone before.
        """
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError

    async def answer(
        self, status: int, content: bytes, *, retry_after: float | None = None, every: float | None = None
    ) -> None:
        """Answer whole; with `every`, one byte each so many seconds."""
        headers = [("Retry-After", f"{retry_after:g}")] if retry_after is not None else []
        await self._send(_head(status, content, headers))
        if every is None:
            await self._send(h11.Data(content))
        else:
            for byte in content:
                await asyncio.sleep(every)
                await self._send(h11.Data(bytes([byte])))
        await self._send(h11.EndOfMessage())

    async def truncated_answer(self, status: int, content: bytes) -> None:
        """Announce all of the content, send half of it, close."""
        await self._send(_head(status, content, []))
        await self._send(h11.Data(content[: len(content) // 2]))
        await self.close()

    def next(self) -> None:
        """Make ready for another request on this connection, or close it where there can be none."""
        if self._writer.is_closing():
            return
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self._writer.close()

    async def cut(self, by: Literal["rst", "fin"]) -> None:
        """End the connection here, reset or closed in order."""
        if by == "rst":
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            self._writer.transport.abort()
        await self.close()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(READ_SIZE))
        return event

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()


def _head(status: int, content: bytes, headers: list[tuple[str, str]]) -> h11.Response:
    described = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))] if content else []
    return h11.Response(status_code=status, headers=[*described, *headers])

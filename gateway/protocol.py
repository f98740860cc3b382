"""Limits on connections that nobody above can hold: how many, how long a request's head, how slow either side.

uvicorn itself waits for ever for a head that never ends, and for a peer that never reads.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS = 1000
MAX_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
"""From the first byte of a request, or from the opening of a connection, to the end of its headers."""
WRITE_SECONDS = 30.0
"""How long a peer may leave an answer unread."""


class _Refused(Exception):
    """Ends the parsing of a request."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection, within limits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_open = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._refusal = (400, "invalid_request", "what was sent is no HTTP request")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "too_many_connections", f"{MAX_CONNECTIONS} connections are open already")
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._head_open:  # a single header that never ends reaches no callback
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "head_too_large", _TOO_LARGE)
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()

    def on_message_begin(self) -> None:
        self._head_open, self._head_bytes = True, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_open, self._head_bytes = False, 0
        self._head_timer = _stopped(self._head_timer)
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser gives up."""
        self._refuse(*self._refusal)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self._write_timer or self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_timer = _stopped(self._write_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer, self._write_timer = _stopped(self._head_timer), _stopped(self._write_timer)
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._head_open:
            self._refuse(408, "too_slow", f"the request's headers did not arrive within {HEAD_SECONDS:g} seconds")
        else:
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._give_up(431, "head_too_large", _TOO_LARGE)

    def _give_up(self, status: int, category: str, detail: str) -> NoReturn:
        self._refusal = (status, category, detail)
        raise _Refused

    def _refuse(self, status: int, category: str, detail: str) -> None:
        """Answer and close, without any application."""
        if self.transport.is_closing():
            return
        phrase = HTTPStatus(status).phrase
        body = json.dumps(
            {"type": "about:blank", "title": phrase, "status": status, "detail": detail, "category": category}
        )
        self.transport.write(
            f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()


_TOO_LARGE = f"a request's line and headers may have {MAX_HEAD_BYTES} bytes at most"


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """What a field that held a running timer holds now."""
    if timer is not None:
        timer.cancel()
    return None

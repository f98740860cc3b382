"""Watches one request go out, through the events that the transport reports of it."""

from typing import Any

import h2.exceptions
import httpcore2

from net.errors import Sent
from net.messages import SendTrace

_UNSENT = (httpcore2.LocalProtocolError, h2.exceptions.ProtocolError)
"""What our own side of the protocol refuses to put on the wire."""


class Watch:
    """The `trace` extension of one request: keeps `sent` current, and knows how far the connection got.

    After a request that was performed (`done`), what follows it cannot make that undone: `sent` stays as it is.
    """

    def __init__(self, trace: SendTrace, *, done: bool = False) -> None:
        self._trace = trace
        self._done = done
        self.in_tls = False
        self.multiplexed = False
        self._stream = 0
        if not done:
            trace.sent = Sent.NO

    @property
    def sent(self) -> Sent:
        return self._trace.sent

    def refused(self) -> None:
        """The provider said in the protocol's own words that it did not process the request."""
        self._move(Sent.NO)

    def left(self, last_stream: int) -> None:
        """The provider closed the connection, naming the last stream that it may have processed (RFC 9113 §6.8)."""
        if last_stream < self._stream and self.sent is Sent.MAYBE:
            self._move(Sent.NO)

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        protocol, _, event = event.partition(".")
        if event == "send_request_headers.started":
            self._started(protocol, info)
        elif event == "receive_response_headers.complete":
            if self.sent is Sent.MAYBE:  # after CONNECT it is still NO: that was the proxy's answer
                self._move(Sent.ANSWERED)
        elif event == "send_request_headers.failed":
            if isinstance(info["exception"], _UNSENT):
                self._move(Sent.NO)
        elif event == "receive_response_headers.failed":
            # The server closed the connection naming the last request it took, and this one came later: the pool sends
            # it again by itself (RFC 9113 §6.8).
            if isinstance(info["exception"], httpcore2.ConnectionNotAvailable):
                self._move(Sent.NO)
        elif event in ("connect_tcp.started", "start_tls.started", "start_tls.complete"):
            self.in_tls = event == "start_tls.started"  # and it stays so when that fails

    def _started(self, protocol: str, info: dict[str, Any]) -> None:
        self.in_tls = False
        if info["request"].method != b"CONNECT":
            self.multiplexed = protocol == "http2"
            self._stream = info.get("stream_id", 0)
            self._move(Sent.MAYBE)

    def _move(self, sent: Sent) -> None:
        if not self._done:
            self._trace.sent = sent

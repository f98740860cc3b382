"""Reads one answer within its limits: whole, or part by part."""

import time
from collections.abc import AsyncGenerator, Iterator
from io import BytesIO

import httpcore2

from net.decoding import Decoder, TooLargeError, UndecodableError, decoder_for
from net.errors import Code, NetError, Sent
from net.messages import HttpReply
from net.redirects import Hop

_DELIMITERS = frozenset({"content-length", "transfer-encoding", "content-encoding"})


class Reading:
    """The answer to a hop; `started` on the monotonic clock. `ended`: its body was read to its proper end.

    `announced`: the size of the body as it will be, None when nothing is known of it.

    Raises:
        NetError: `protocol_error`, for a status that nobody asked for.
    """

    def __init__(self, response: httpcore2.Response, hop: Hop, started: float) -> None:
        if response.status < 200:
            message = f"answered {response.status} to a request that did not ask for it"
            raise NetError("protocol_error", message, sent=Sent.ANSWERED, status=response.status)
        self.status = response.status
        self.headers = [(name.decode("latin-1"), _text(value)) for name, value in response.headers]
        self.version: str = response.extensions["http_version"].decode("ascii")
        self.url = hop.target.safe_url
        self.done = hop.done
        self.ended = False
        fields = {name.lower(): value for name, value in self.headers}
        self.announced = _length(fields) if _has_body(hop, response.status) else 0
        self._delimited = self.version == "HTTP/2" or bool(fields.keys() & _DELIMITERS)
        self._response = response
        self._started = started
        self._held = b""
        self._size = 0
        self._parts: Iterator[bytes] = iter(())
        self._pieces: AsyncGenerator[bytes] | None = None
        self._decoder: Decoder | None = None

    @property
    def delimited(self) -> bool:
        """As `HttpReply.delimited`, of what was read."""
        return self._delimited or not self._size

    async def whole(self, max_bytes: int) -> HttpReply:
        """The whole reply. What an error says in its body is not worth a failure.

        Raises:
            NetError: `response_too_large` or `undecodable_body`. The transport's own errors pass through.
        """
        try:
            body = await self._collect(max_bytes, max_bytes)
        except (TooLargeError, UndecodableError) as error:
            return self._unread(error, max_bytes)
        return self._reply(body) if body is not None else self._unread(TooLargeError(), max_bytes)

    async def whole_if_small(self, max_bytes: int, cap: int) -> HttpReply | None:
        """The same; None: it is larger than `max_bytes`, and `part` gives it from its first byte on, up to `cap`."""
        try:
            body = await self._collect(max_bytes, cap)
        except (TooLargeError, UndecodableError) as error:
            return self._unread(error, cap)
        return None if body is None else self._reply(body)

    async def part(self, cap: int) -> bytes | None:
        """The next part of the decoded body, None at its end.

        Raises:
            NetError: `response_too_large` past `cap`, or `undecodable_body`.
        """
        if self._held:
            held, self._held = self._held, b""
            return held
        try:
            return await self._next(cap)
        except (TooLargeError, UndecodableError) as error:
            raise self._unusable(*_told(error, cap)) from None

    async def aclose(self) -> None:
        """Leave off reading."""
        if self._pieces is not None:
            await self._pieces.aclose()

    async def _collect(self, max_bytes: int, cap: int) -> bytes | None:
        """None: more than `max_bytes`."""
        if self.announced is not None and self.announced > max_bytes:
            return None
        collected = BytesIO()  # a list of parts would take 20 times the memory of a body that comes by twos
        while (part := await self._next(cap)) is not None:
            collected.write(part)
            if collected.tell() > max_bytes:
                self._held = collected.getvalue()
                return None
        return collected.getvalue()

    async def _next(self, cap: int) -> bytes | None:
        if self._pieces is None or self._decoder is None:
            self._pieces = self._response.aiter_stream()
            codings = [value for name, value in self.headers if name.lower() == "content-encoding"]
            self._decoder = decoder_for(codings, cap)
        while True:
            for part in self._parts:
                if part:
                    self._size += len(part)
                    return part
            piece = await anext(self._pieces, None)
            if piece is None:
                self._decoder.end()
                self.ended = True
                return None
            self._parts = self._decoder.decode(piece)

    def _unread(self, error: TooLargeError | UndecodableError, max_bytes: int) -> HttpReply:
        code, unread = _told(error, max_bytes)
        if self.status < 400:
            raise self._unusable(code, unread) from None
        return self._reply(b"", unread)

    def _unusable(self, code: Code, unread: str) -> NetError:
        return NetError(code, f"answered {self.status} {unread}", sent=Sent.ANSWERED, status=self.status)

    def _reply(self, body: bytes, unread: str | None = None) -> HttpReply:
        return HttpReply(
            status=self.status,
            headers=self.headers,
            body=body,
            http_version=self.version,
            elapsed=time.monotonic() - self._started,
            url=self.url,
            delimited=not body or self._delimited,
            unread=unread,
            done=self.done,
        )


def _has_body(hop: Hop, status: int) -> bool:
    """Else Content-Length and Content-Encoding tell of the body that another request would get (RFC 9110 §8.6)."""
    return hop.method != "HEAD" and status not in (204, 304)


def _length(fields: dict[str, str]) -> int | None:
    """The announced size of the body as it will be; of a coded one nothing is known."""
    if "content-encoding" in fields:
        return None
    length = fields.get("content-length", "")
    return int(length[:18]) if length.isascii() and length.isdigit() else None


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _told(error: TooLargeError | UndecodableError, max_bytes: int) -> tuple[Code, str]:
    if isinstance(error, TooLargeError):
        return "response_too_large", f"with a body of more than {max_bytes} bytes"
    return "undecodable_body", "with a body whose compression is unknown or damaged"

"""Reads one answer whole, within its limits."""

import time
from contextlib import aclosing

import httpcore2

from net.decoding import TooLargeError, UndecodableError, decoder_for
from net.errors import Code, NetError, Sent
from net.messages import HttpReply
from net.redirects import Hop

_DELIMITERS = frozenset({"content-length", "transfer-encoding", "content-encoding"})


async def read_reply(response: httpcore2.Response, hop: Hop, max_bytes: int, started: float) -> HttpReply:
    """The reply to a hop; `started` on the monotonic clock. What an error says in its body is not worth a failure.

    Raises:
        NetError: `response_too_large`, `undecodable_body` or `protocol_error`. The transport's own errors pass through.
    """
    status = response.status
    if status < 200:
        message = f"answered {status} to a request that did not ask for it"
        raise NetError("protocol_error", message, sent=Sent.ANSWERED, status=status)
    headers = [(name.decode("latin-1"), _text(value)) for name, value in response.headers]
    fields = {name.lower(): value for name, value in headers}
    body, unread = b"", None
    try:
        body = await _body(response, headers, _length(fields) if _has_body(hop, status) else 0, max_bytes)
    except (TooLargeError, UndecodableError) as error:
        code, unread = _unread(error, max_bytes)
        if status < 400:
            raise NetError(code, f"answered {status} {unread}", sent=Sent.ANSWERED, status=status) from None
    version: str = response.extensions["http_version"].decode("ascii")
    return HttpReply(
        status=status,
        headers=headers,
        body=body,
        http_version=version,
        elapsed=time.monotonic() - started,
        url=hop.target.safe_url,
        delimited=not body or version == "HTTP/2" or bool(fields.keys() & _DELIMITERS),
        unread=unread,
        done=hop.done,
    )


async def _body(response: httpcore2.Response, headers: list[tuple[str, str]], length: int, max_bytes: int) -> bytes:
    if length > max_bytes:
        raise TooLargeError
    decoder = decoder_for([value for name, value in headers if name.lower() == "content-encoding"], max_bytes)
    async with aclosing(response.aiter_stream()) as pieces:
        async for piece in pieces:
            decoder.feed(piece)
    return decoder.finish()


def _has_body(hop: Hop, status: int) -> bool:
    """Else Content-Length and Content-Encoding tell of the body that another request would get (RFC 9110 §8.6)."""
    return hop.method != "HEAD" and status not in (204, 304)


def _length(fields: dict[str, str]) -> int:
    """The announced size of the body as it will be; of a coded one nothing is known."""
    if "content-encoding" in fields:
        return 0
    length = fields.get("content-length", "")
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _unread(error: TooLargeError | UndecodableError, max_bytes: int) -> tuple[Code, str]:
    if isinstance(error, TooLargeError):
        return "response_too_large", f"with a body of more than {max_bytes} bytes"
    return "undecodable_body", "with a body whose compression is unknown or damaged"

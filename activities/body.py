"""From a declared body to bytes, or to what gives them while they are sent, and their media type."""

import json
import secrets
from collections.abc import AsyncGenerator, Callable
from urllib.parse import urlencode

import orjson
from pydantic import JsonValue

from activities.sources import NO_SOURCES, Sources
from definitions.operation import (
    AssetBody,
    Body,
    FilePart,
    FormBody,
    JsonBody,
    MultipartBody,
    RawBody,
    SftpBody,
    TextBody,
)
from net.content import close_source
from net.messages import StreamedContent


def encode_body(body: Body | None, sources: Sources = NO_SOURCES) -> tuple[bytes | StreamedContent, str | None]:
    """The content and its `Content-Type`; JSON keeps the order of its members.

    Raises:
        UnicodeError: a text holds half a character (a lone surrogate).
    """
    match body:
        case None:
            return b"", None
        case JsonBody(value=value):
            return _json(value), "application/json"
        case FormBody(fields=fields):
            return urlencode(fields).encode(), "application/x-www-form-urlencoded"
        case TextBody(text=text, media_type=media_type):
            return text.encode(), f"{media_type}; charset=utf-8"
        case RawBody(content=content, media_type=media_type):
            return content, media_type
        case AssetBody(asset=asset, media_type=media_type):
            return sources.asset(asset), media_type or asset.media_type
        case SftpBody(media_type=media_type):
            return sources.remote(body), media_type
        case MultipartBody():
            return _multipart(body, sources)


def _json(value: JsonValue) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # a number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _multipart(body: MultipartBody, sources: Sources) -> tuple[bytes | StreamedContent, str]:
    """RFC 7578. The boundary is random, so that no content can contain it by chance or intent."""
    boundary = secrets.token_hex(16)
    parts: list[tuple[str, bytes | StreamedContent]] = [
        (_disposition(name), value.encode()) for name, value in body.fields
    ]
    parts += [
        (_file_headers(file), sources.asset(file.asset) if file.asset else file.content or b"") for file in body.files
    ]
    pieces: list[bytes | StreamedContent] = []
    for headers, content in parts:
        pieces += [b"--%b\r\n%b\r\n\r\n" % (boundary.encode(), headers.encode()), content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return _joined(pieces), f"multipart/form-data; boundary={boundary}"


def _joined(pieces: list[bytes | StreamedContent]) -> bytes | StreamedContent:
    at_hand = [piece for piece in pieces if isinstance(piece, bytes)]
    if len(at_hand) == len(pieces):
        return b"".join(at_hand)
    sizes = [len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces]
    known = [size for size in sizes if size is not None]
    return StreamedContent(_one_after_the_other(pieces), sum(known) if len(known) == len(sizes) else None)


def _one_after_the_other(pieces: list[bytes | StreamedContent]) -> Callable[[], AsyncGenerator[bytes]]:
    async def each() -> AsyncGenerator[bytes]:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            source = piece.open()
            try:
                async for part in source:
                    yield part
            finally:
                await close_source(source)

    return each


def _file_headers(file: FilePart) -> str:
    return f'{_disposition(file.name)}; filename="{_quoted(file.filename)}"\r\nContent-Type: {file.told_type}'


def _disposition(name: str) -> str:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"'


def _quoted(value: str) -> str:
    """As browsers do (WHATWG HTML, multipart/form-data encoding algorithm)."""
    return value.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")

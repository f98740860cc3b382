"""From a declared body to bytes and their media type."""

import json
import secrets
from urllib.parse import urlencode

import orjson
from pydantic import JsonValue

from definitions.operation import Body, FilePart, FormBody, JsonBody, MultipartBody, RawBody, TextBody


def encode_body(body: Body | None) -> tuple[bytes, str | None]:
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
        case MultipartBody():
            return _multipart(body)


def _json(value: JsonValue) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # a number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _multipart(body: MultipartBody) -> tuple[bytes, str]:
    """RFC 7578. The boundary is random, so that no content can contain it by chance or intent."""
    boundary = secrets.token_hex(16)
    parts = [(_disposition(name), value.encode()) for name, value in body.fields]
    parts += [(_file_headers(file), file.content) for file in body.files]
    content = b"".join(
        b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary.encode(), headers.encode(), content) for headers, content in parts
    )
    return content + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _file_headers(file: FilePart) -> str:
    return f'{_disposition(file.name)}; filename="{_quoted(file.filename)}"\r\nContent-Type: {file.media_type}'


def _disposition(name: str) -> str:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"'


def _quoted(value: str) -> str:
    """As browsers do (WHATWG HTML, multipart/form-data encoding algorithm)."""
    return value.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")

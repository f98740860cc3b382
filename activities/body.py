"""From a declared body to bytes and their media type."""

import secrets
from urllib.parse import urlencode

import orjson

from definitions.operation import Body, FilePart, FormBody, JsonBody, MultipartBody, RawBody, TextBody


def encode_body(body: Body | None) -> tuple[bytes, str | None]:
    """The content and its `Content-Type`; JSON keeps the order of its members."""
    match body:
        case None:
            return b"", None
        case JsonBody(value=value):
            return orjson.dumps(value), "application/json"
        case FormBody(fields=fields):
            return urlencode(fields).encode(), "application/x-www-form-urlencoded"
        case TextBody(text=text, media_type=media_type):
            return text.encode(), f"{media_type}; charset=utf-8"
        case RawBody(content=content, media_type=media_type):
            return content, media_type
        case MultipartBody():
            return _multipart(body)


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
    return (
        f'{_disposition(file.name)}; filename="{_quoted(file.filename)}"\r\nContent-Type: {_one_line(file.media_type)}'
    )


def _disposition(name: str) -> str:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"'


def _quoted(value: str) -> str:
    """As browsers do (WHATWG HTML, multipart/form-data encoding algorithm)."""
    return value.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _one_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise ValueError("a media type may not contain control characters")
    return value

"""From the bytes of an answer to text or JSON, whatever its headers claim.

A charset is honoured only from a short list: Python would also decode `rot13`, `unicode_escape` or `utf-7` if asked to.
"""

import codecs
import json
from typing import NoReturn

import orjson

MAX_DEPTH = 64

_CHARSETS = frozenset(
    {
        "ascii",
        "utf-8",
        "iso8859-1",
        "iso8859-2",
        "iso8859-15",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
    }
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BINARY = ("image/", "audio/", "video/", "font/")
_BINARY_TYPES = frozenset(
    {"application/octet-stream", "application/pdf", "application/zip", "application/gzip", "application/x-gzip"}
)


class UnusableBody(ValueError):
    """An answer's body is not what it was taken for. The text tells the fault, never the contents."""


def decode_text(body: bytes, content_type: str | None, *, partial: bool = False) -> str | None:
    """The body as text, or None when it is binary, in a charset outside the list, or damaged.

    A byte order mark wins over the stated charset; without either it must be UTF-8.
    `partial`: the body was cut, so its last character may be incomplete.
    """
    media_type, _, parameters = (content_type or "").lower().partition(";")
    if media_type.strip().startswith(_BINARY) or media_type.strip() in _BINARY_TYPES:
        return None
    mark, encoding = next(((mark, name) for mark, name in _MARKS if body.startswith(mark)), (b"", None))
    encoding = encoding or _charset(parameters)
    if encoding is None:
        return None
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(body[len(mark) :], not partial)
    except UnicodeError:
        return None
    return None if "\0" in text else text


def _charset(parameters: str) -> str | None:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return _known(value.strip().strip("\"'"))
    return "utf-8"


def _known(charset: str) -> str | None:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return name if name in _CHARSETS else None


def parse_json(body: bytes) -> object:
    """The body as JSON values; lone surrogates become U+FFFD.

    Raises:
        UnusableBody: not JSON, NaN or Infinity in it, or nested deeper than 64.
    """
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _parse_leniently(body)
    _check_depth(value)
    return value


def _parse_leniently(body: bytes) -> object:
    """What the fast parser refuses but can be read: a byte order mark, lone surrogates."""
    text = decode_text(body, None)
    if text is None:
        raise UnusableBody("the body is not JSON: it is not text in UTF-8")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        _check_depth(value)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return orjson.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    except UnusableBody:
        raise
    except RecursionError:
        raise UnusableBody(f"the JSON is nested deeper than {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise UnusableBody(f"the body is not JSON: fault at character {error.pos} of {len(text)}") from None
    except ValueError:
        raise UnusableBody("the JSON holds a number that cannot be represented, NaN or Infinity") from None


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for container in level
            if type(container) is dict or type(container) is list
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise UnusableBody(f"the JSON is nested deeper than {MAX_DEPTH}")

"""What the well-behaved systems share: reading requests strictly, refusing them in JSON."""

import base64
import binascii
import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.externalsystems.ledger import Entry


class Refused(Exception):
    """Ends a request with this status and JSON body."""

    def __init__(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


def refusal(_: Request, error: Exception) -> Response:
    """Starlette's exception handler for `Refused`."""
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status, error.headers)


def entry_of(request: Request) -> Entry:
    """The ledger's entry for this request."""
    entry: Entry = request.scope["ledger.entry"]
    return entry


async def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, {"error": "the body must be a JSON object"})
    return body


def text_field(body: dict[str, Any], name: str) -> str:
    """A field that must be a text with something in it."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(422, {"error": f"{name} must be a text"})
    return value


async def form_fields(request: Request) -> dict[str, str]:
    """The body, which must be `application/x-www-form-urlencoded`; a repeated name is refused (RFC 6749 §3.2)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    pairs = parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True)
    fields = dict(pairs)
    if media_type != "application/x-www-form-urlencoded" or len(fields) != len(pairs):
        raise Refused(400, {"error": "invalid_request"})
    return fields


def authorization(request: Request, scheme: str) -> str | None:
    """What follows the scheme in `Authorization`."""
    found, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if found.lower() == scheme.lower() and value.strip() else None


def basic_pair(request: Request) -> tuple[str, str] | None:
    """User name and password (RFC 7617)."""
    value = authorization(request, "Basic")
    if value is None:
        return None
    try:
        username, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (username, password) if colon else None

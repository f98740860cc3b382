"""From a provider's answer to a result that is bounded, clean and free of secrets."""

import base64
from typing import Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import JsonValue

from definitions.operation import HttpOperation
from definitions.run import CallResult
from net.messages import HttpReply
from net.redaction import LIVE_SECRETS
from net.text import UnusableBody, decode_text, parse_json

KEPT_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-language",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "retry-after",
        "request-id",
        "x-request-id",
        "x-correlation-id",
        "x-total-count",
    }
)
KEPT_PREFIXES = ("ratelimit", "x-ratelimit")

Encoding = Literal["json", "text", "base64", "none"]


def call_result(reply: HttpReply, operation: HttpOperation, **about: Any) -> CallResult:
    """Build the result of a successful call.

    Raises:
        UnusableBody: the answer is not what its media type says, or `extract` cannot be applied to it.
    """
    body, encoding = _read(reply)
    if operation.extract is not None:
        body, encoding = _extract(body, encoding, operation.extract), "json"
    return CallResult(
        status=reply.status,
        headers=_kept(reply.headers),
        body=body,
        encoding=encoding,
        bytes=len(reply.body),
        **about,
    )


def _read(reply: HttpReply) -> tuple[JsonValue, Encoding]:
    if not reply.body:
        return None, "none"
    media_type = (reply.header("content-type") or "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        parsed: JsonValue = parse_json(LIVE_SECRETS.scrub_bytes(reply.body))  # type: ignore[assignment]
        return parsed, "json"
    text = decode_text(reply.body, reply.header("content-type"))
    if text is None:
        return base64.b64encode(reply.body).decode(), "base64"
    return LIVE_SECRETS.scrub(text), "text"


def _extract(body: JsonValue, encoding: Encoding, expression: str) -> JsonValue:
    if encoding not in ("json", "none"):
        raise UnusableBody(f"extract needs a JSON answer, this one is {encoding}")
    try:
        found: JsonValue = jmespath.search(expression, body)
    except JMESPathError:
        raise UnusableBody("the extract expression does not fit the answer") from None
    return found


def _kept(headers: list[tuple[str, str]]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in KEPT_HEADERS or lower.startswith(KEPT_PREFIXES):
            clean = LIVE_SECRETS.scrub(value)
            kept[lower] = f"{kept[lower]}, {clean}" if lower in kept else clean
    return kept

"""From a provider's answer to a result that is bounded, clean and free of secrets."""

import base64
from typing import Any, Literal

import jmespath
import orjson
from jmespath.exceptions import JMESPathError
from pydantic import JsonValue

from activities.scrubbing import scrub_text
from definitions.asset import Asset
from definitions.operation import HttpOperation, check_json
from definitions.run import CallResult
from net.messages import HttpReply
from net.redaction import LIVE_SECRETS, MASK
from net.streamed import StreamedReply
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
CUT_UNSEEN = "the answer said nothing of its length, so it may have been cut without a sign"
KEPT_PREFIXES = ("ratelimit", "x-ratelimit")

Encoding = Literal["json", "text", "base64", "none"]


def asset_result(reply: StreamedReply, asset: Asset, **about: Any) -> CallResult:
    """Build the result of a successful call whose answer became an asset."""
    return CallResult(
        status=reply.status,
        headers=_kept(reply.headers),
        encoding="asset",
        bytes=asset.size,
        asset=asset,
        notes=() if reply.delimited else (CUT_UNSEEN,),
        **about,
    )


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
        notes=() if reply.delimited or encoding == "json" else (CUT_UNSEEN,),
        **about,
    )


def _read(reply: HttpReply) -> tuple[JsonValue, Encoding]:
    if not reply.body:
        return None, "none"
    media_type = (reply.header("content-type") or "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        parsed: JsonValue = parse_json(reply.body)  # type: ignore[assignment]
        return _scrubbed(parsed), "json"
    text = decode_text(reply.body, reply.header("content-type"))
    if text is None:
        return base64.b64encode(LIVE_SECRETS.scrub_bytes(reply.body)).decode(), "base64"
    return scrub_text(text), "text"


def _scrubbed(body: JsonValue) -> JsonValue:
    """Scrubbed by value, since writers escape alike characters differently, `+` as `\\u002B`; and it stays JSON."""
    once = orjson.dumps(body)
    return body if LIVE_SECRETS.scrub_bytes(once) is once else _scrubbed_value(body)


def _scrubbed_value(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return LIVE_SECRETS.scrub(value)
        case list():
            return [_scrubbed_value(item) for item in value]
        case dict():
            return {LIVE_SECRETS.scrub(name): _scrubbed_value(item) for name, item in value.items()}
        case bool() | None:
            return value
    text = orjson.dumps(value)
    return value if LIVE_SECRETS.scrub_bytes(text) is text else MASK


def _extract(body: JsonValue, encoding: Encoding, expression: str) -> JsonValue:
    if encoding not in ("json", "none"):
        raise UnusableBody(f"extract needs a JSON answer, this one is {encoding}")
    try:
        found: JsonValue = jmespath.search(expression, body)
        check_json(found)
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # jmespath lets errors of Python through, such as a comparison of text with a number
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

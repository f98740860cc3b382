"""What one HTTP operation is: everything an app may say about a call, and nothing secret."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import Base64Bytes, BeforeValidator, Field, JsonValue, field_validator

from definitions.base import Duration, Model

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""The methods of RFC 9110 §9.3 and RFC 5789. CONNECT opens a tunnel for a proxy and carries no operation."""

REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Idempotent by RFC 9110 §9.2.2: the same request twice has the effect of one."""

DEFAULT_MAX_BYTES = 1024 * 1024
HARD_MAX_BYTES = 16 * 1024 * 1024


def _as_pairs(value: Any) -> Any:
    """Accept `{name: value}`, `{name: [value, value]}` or `[[name, value], …]`; order is kept."""
    if not isinstance(value, Mapping):
        return value
    return [
        (name, item)
        for name, items in value.items()
        for item in (items if isinstance(items, Sequence) and not isinstance(items, str) else [items])
    ]


Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_as_pairs)]
"""Names with values, in order, names may repeat."""


class JsonBody(Model):
    type: Literal["json"] = "json"
    value: JsonValue


class FormBody(Model):
    """`application/x-www-form-urlencoded`."""

    type: Literal["form"] = "form"
    fields: Pairs = ()


class FilePart(Model):
    """One file of a multipart body; `content` is base64 in JSON and YAML."""

    name: str
    filename: str
    content: Base64Bytes
    media_type: str = "application/octet-stream"


class MultipartBody(Model):
    """`multipart/form-data` (RFC 7578)."""

    type: Literal["multipart"] = "multipart"
    fields: Pairs = ()
    files: tuple[FilePart, ...] = ()


class TextBody(Model):
    """Text, XML or SOAP, sent as UTF-8."""

    type: Literal["text"] = "text"
    text: str
    media_type: str = "text/plain"


class RawBody(Model):
    """Bytes as they are; base64 in JSON and YAML."""

    type: Literal["raw"] = "raw"
    content: Base64Bytes
    media_type: str = "application/octet-stream"


Body = Annotated[JsonBody | FormBody | MultipartBody | TextBody | RawBody, Field(discriminator="type")]

_STATUS = re.compile(r"([1-5])xx|([1-5]\d\d)(?:-([1-5]\d\d))?")


def _check_status_pattern(value: Any) -> Any:
    text = str(value)
    if not _STATUS.fullmatch(text):
        raise ValueError(f"{text!r} is no status pattern: write 2xx, 404 or 200-204")
    return text


StatusPattern = Annotated[str, BeforeValidator(_check_status_pattern)]


def status_matches(status: int, patterns: Sequence[str]) -> bool:
    """Whether a status is in one of `2xx`, `404`, `200-204`."""
    for pattern in patterns:
        first, _, last = pattern.replace("xx", "00-").partition("-")
        upper = int(first) + 99 if pattern.endswith("xx") else int(last or first)
        if int(first) <= status <= upper:
            return True
    return False


class FailurePolicy(StrEnum):
    """What a run does with a final error: end, or wait for an operator's decision."""

    FAIL = "fail"
    PARK = "park"


class HttpOperation(Model):
    """One HTTP request through an integration; the integration adds its constants, the credential its placements."""

    type: Literal["http"] = "http"
    method: Method = "GET"
    path: str = Field(description="Relative to the integration's base URL, or an absolute URL of an allowed host")
    query: Pairs = ()
    headers: Pairs = ()
    body: Body | None = None
    success: tuple[StatusPattern, ...] = Field(default=("2xx",), min_length=1)
    extract: str | None = Field(default=None, description="JMESPath; the result's body is what it finds")
    max_bytes: int = Field(default=DEFAULT_MAX_BYTES, gt=0, le=HARD_MAX_BYTES, description="Decoded body, in bytes")
    timeout: Duration = Field(default=timedelta(seconds=30), description="Connecting, sending and reading together")
    idempotent: bool | None = Field(default=None, description="Overrides what the method says about repeating")
    on_failure: FailurePolicy = FailurePolicy.FAIL
    give_up_after: Duration = Field(default=timedelta(hours=24), description="All attempts and waits together")
    park_for: Duration = Field(default=timedelta(days=30), description="How long a parked run waits for a decision")

    @field_validator("method", mode="before")
    @classmethod
    def _upper_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("extract")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                jmespath.compile(value)
            except JMESPathError as error:
                raise ValueError(f"not a JMESPath expression: {str(error).splitlines()[0]}") from None
        return value

    @field_validator("timeout", "give_up_after", "park_for")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta():
            raise ValueError("must be longer than zero")
        return value


class Delivery(StrEnum):
    """Whether a call may be sent again when it is unknown if the first one arrived."""

    SAFE = "safe"
    """Repeating has no further effect: a method idempotent by RFC 9110, or declared so."""
    KEYED = "keyed"
    """The provider recognises a repeated call by its idempotency key."""
    UNSAFE = "unsafe"
    """Sent once; only what surely was not performed is sent again."""


def delivery_of(operation: HttpOperation, *, idempotency_header: str | None) -> Delivery:
    """The delivery that an operation can promise through an integration with this idempotency header."""
    if operation.idempotent or (operation.idempotent is None and operation.method in REPEATABLE_METHODS):
        return Delivery.SAFE
    return Delivery.KEYED if idempotency_header else Delivery.UNSAFE

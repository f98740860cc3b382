"""What one HTTP operation is: everything an app may say about a call, and nothing secret."""

import base64
import re
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, EncodedBytes, EncoderProtocol, Field, JsonValue, field_validator, model_validator
from pydantic_core import to_json

from definitions.asset import Asset
from definitions.base import KEY_PATTERN, Duration, Model
from definitions.failure_policy import FailurePolicy
from definitions.fields import Expression, MediaType, Pairs, Statuses, check_media_type
from definitions.sftp import RemotePath

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""The methods of RFC 9110 §9.3 and RFC 5789. CONNECT opens a tunnel for a proxy and carries no operation."""

REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Idempotent by RFC 9110 §9.2.2: the same request twice has the effect of one."""

DEFAULT_MAX_BYTES = 1024 * 1024
HARD_MAX_BYTES = 16 * 1024 * 1024
DEFAULT_MAX_ASSET_BYTES = 1024**3
HARD_MAX_ASSET_BYTES = 100 * 1024**3


MAX_DEPTH = 64
"""Of JSON in a body: what readers of JSON can be relied on to take."""


def check_json(value: JsonValue) -> JsonValue:
    """NaN and infinity are no JSON, and would become null without a word (RFC 8259 §6). Raises ValueError."""
    if _depth(value) > MAX_DEPTH:
        raise ValueError(f"the JSON is nested deeper than {MAX_DEPTH}")
    text = to_json(value, inf_nan_mode="constants")
    if (b"NaN" in text or b"Infinity" in text) and not _is_finite(value):
        raise ValueError("JSON has no NaN and no infinity")
    return value


def _depth(value: JsonValue) -> int:
    """At most one more than what is allowed."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for depth in range(MAX_DEPTH + 1):
        if not level:
            return depth
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
    return MAX_DEPTH + 1


def _is_finite(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else not isinstance(value, float) or isfinite(value)


class JsonBody(Model):
    type: Literal["json"] = "json"
    value: Annotated[JsonValue, AfterValidator(check_json)]


class FormBody(Model):
    """`application/x-www-form-urlencoded`."""

    type: Literal["form"] = "form"
    fields: Pairs = ()


class _StrictBase64(EncoderProtocol):
    """Line breaks are taken, for YAML; anything else that is no base64 would be dropped, and other bytes be sent."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        try:
            return base64.b64decode(b"".join(data.split()), validate=True)
        except ValueError:
            raise ValueError("not base64") from None

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return base64.b64encode(value)

    @classmethod
    def get_json_format(cls) -> str:
        return "base64"


Content = Annotated[bytes, EncodedBytes(encoder=_StrictBase64)]


def _check_text_type(text: str) -> str:
    if re.search(r";\s*charset\s*=", text, re.IGNORECASE):
        raise ValueError("text is sent as UTF-8: leave the charset out, or send a raw body")
    return check_media_type(text)


class FilePart(Model):
    """One file of a multipart body: `content`, which is base64 in JSON and YAML, or an asset."""

    name: str
    filename: str
    content: Content | None = None
    asset: Asset | None = None
    media_type: MediaType | None = Field(default=None, description="Else the asset's, or application/octet-stream")

    @model_validator(mode="after")
    def _one_content(self) -> "FilePart":
        if (self.content is None) == (self.asset is None):
            raise ValueError("a file has content or an asset, one of them")
        return self

    @property
    def told_type(self) -> str:
        """What the part says of itself."""
        return self.media_type or (self.asset.media_type if self.asset else "application/octet-stream")


class MultipartBody(Model):
    """`multipart/form-data` (RFC 7578)."""

    type: Literal["multipart"] = "multipart"
    fields: Pairs = ()
    files: tuple[FilePart, ...] = ()


class TextBody(Model):
    """Text, XML or SOAP, sent as UTF-8."""

    type: Literal["text"] = "text"
    text: str
    media_type: Annotated[str, AfterValidator(_check_text_type)] = "text/plain"


class RawBody(Model):
    """Bytes as they are; base64 in JSON and YAML."""

    type: Literal["raw"] = "raw"
    content: Content
    media_type: MediaType = "application/octet-stream"


class AssetBody(Model):
    """A file that Tieline keeps, streamed."""

    type: Literal["asset"] = "asset"
    asset: Asset
    media_type: MediaType | None = Field(default=None, description="Else the asset's own")


class SftpBody(Model):
    """A file on an SFTP server, streamed; the adapter is one of the call's profile, and of its subject."""

    type: Literal["sftp"] = "sftp"
    adapter: str = Field(pattern=KEY_PATTERN)
    path: RemotePath
    media_type: MediaType = "application/octet-stream"


Body = Annotated[
    JsonBody | FormBody | MultipartBody | TextBody | RawBody | AssetBody | SftpBody, Field(discriminator="type")
]


def status_matches(status: int, patterns: Sequence[str]) -> bool:
    """Whether a status is in one of `2xx`, `404`, `200-204`."""
    for pattern in patterns:
        first, _, last = pattern.replace("xx", "00-").partition("-")
        upper = int(first) + 99 if pattern.endswith("xx") else int(last or first)
        if int(first) <= status <= upper:
            return True
    return False


class HttpOperation(Model):
    """One HTTP request through an integration; the integration adds its constants, the credential its placements."""

    type: Literal["http"] = "http"
    method: Method = "GET"
    path: str = Field(description="Relative to the integration's base URL, or an absolute URL of an allowed host")
    query: Pairs = ()
    headers: Pairs = ()
    body: Body | None = None
    success: Statuses = ("2xx",)
    extract: Expression | None = Field(default=None, description="JMESPath; the result's body is what it finds")
    answer: Literal["auto", "value", "asset"] = Field(
        default="auto",
        description="What a successful answer's body becomes. auto: a value, or an asset where it is larger than "
        "max_bytes; with extract always a value. value: a value, or an error. asset: an asset",
    )
    max_bytes: int = Field(default=DEFAULT_MAX_BYTES, gt=0, le=HARD_MAX_BYTES, description="Decoded body, in bytes")
    max_asset_bytes: int = Field(
        default=DEFAULT_MAX_ASSET_BYTES, gt=0, le=HARD_MAX_ASSET_BYTES, description="The same, of an asset"
    )
    timeout: Duration = Field(default=timedelta(seconds=30), description="Connecting, sending and reading together")
    stall_after: Duration = Field(
        default=timedelta(seconds=60), description="A body that is streamed may stand still so long, beyond timeout"
    )
    transfer_timeout: Duration = Field(
        default=timedelta(hours=1), description="A body that is streamed may take so long in all, instead of timeout"
    )
    idempotent: bool | None = Field(default=None, description="Overrides what the method says about repeating")
    on_failure: FailurePolicy = FailurePolicy.FAIL
    give_up_after: Duration = Field(default=timedelta(hours=24), description="All attempts and waits together")
    park_for: Duration = Field(default=timedelta(days=30), description="How long a parked run waits for a decision")

    @field_validator("method", mode="before")
    @classmethod
    def _upper_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_a_value_to_extract_from(self) -> "HttpOperation":
        if self.extract is not None and self.answer == "asset":
            raise ValueError("extract needs the answer as a value: leave out answer: asset, or extract")
        return self

    @property
    def may_become_asset(self) -> bool:
        """Whether the answer may."""
        return self.answer != "value" and self.extract is None

    @property
    def assets(self) -> tuple[Asset, ...]:
        """What its body is made of."""
        match self.body:
            case AssetBody(asset=asset):
                return (asset,)
            case MultipartBody(files=files):
                return tuple(file.asset for file in files if file.asset is not None)
        return ()

    @property
    def streams(self) -> bool:
        """Whether a body may take as long as `transfer_timeout`."""
        return self.may_become_asset or isinstance(self.body, SftpBody) or bool(self.assets)


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

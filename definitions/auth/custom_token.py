"""Tokens fetched by one or more requests of the integration's own making: log in, exchange, and so on."""

from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from definitions.auth.simple import authorization
from definitions.base import Duration, Model
from definitions.fields import KEEP_ALIVE, Expression, HeaderName, Identifier, SecretField, TemplateText
from definitions.placement import Placement

MEANT = frozenset({"token", "expires_in", "expires_at", "refresh_token"})
"""Captures that the token state is made of; all others are values for later requests and placements."""


class BodyFormat(StrEnum):
    """How the values of a token request travel."""

    JSON = "json"
    FORM = "form"


class TokenBody(Model):
    """The values are templates at any depth; they are escaped by structure, not by text."""

    type: BodyFormat = BodyFormat.JSON
    values: dict[str, JsonValue] = {}


class TokenRequest(Model):
    """One request of a chain; `capture` takes values out of its JSON answer by JMESPath."""

    name: str | None = None
    endpoint: TemplateText
    verb: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[HeaderName, TemplateText] = {}
    query: dict[str, TemplateText] = {}
    body: TokenBody | None = None
    capture: dict[Identifier, Expression] = {}


class CustomTokenAuth(Model):
    """A chain of token requests; the last one captures `token`."""

    type: Literal["custom_token"]
    secrets: dict[Identifier, SecretField] = Field(min_length=1)
    requests: tuple[TokenRequest, ...] = Field(min_length=1)
    refresh: TokenRequest | None = None
    error: Expression | None = Field(default=None, description="Finds an error inside an answer with status 200")
    lifetime: Duration | None = Field(default=None, description="Of a token whose answer states none")
    keep_alive: Duration | None = Field(default=None, description=KEEP_ALIVE)
    place: tuple[Placement, ...] = authorization("Bearer {token}")

    @property
    def renews(self) -> bool:
        return True

    def secret_fields(self) -> dict[str, SecretField]:
        return dict(self.secrets)

    def captured(self) -> frozenset[str]:
        """The names that the requests capture."""
        return frozenset(name for request in self.requests for name in request.capture)

    def provides(self) -> frozenset[str]:
        return frozenset(self.secrets) | (self.captured() - (MEANT - {"token"}))

    @model_validator(mode="after")
    def _captures_a_token(self) -> "CustomTokenAuth":
        if "token" not in self.requests[-1].capture:
            raise ValueError("the last of requests must capture token, as in capture: {token: access_token}")
        if self.refresh and "token" not in self.refresh.capture:
            raise ValueError("refresh must capture token, as in capture: {token: access_token}")
        if self.refresh and "refresh_token" not in self.captured():
            raise ValueError("refresh needs a refresh_token: capture it in one of requests")
        return self

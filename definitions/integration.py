"""An integration: how to talk to one external service."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from definitions.auth import Auth, CustomTokenAuth, OAuth2Auth, TokenRequest
from definitions.auth.oauth2 import Grant
from definitions.base import Model
from definitions.fields import SecretField, TemplateText
from definitions.operation import Pairs, StatusPattern
from definitions.placement import Place
from definitions.templates import Template


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        raise ValueError("a pattern is written without / around it")
    return pattern


class Parameter(Model):
    """A non-secret value asked for per account. `pattern` must match the whole value."""

    label: str | None = None
    description: str | None = None
    pattern: Annotated[str, AfterValidator(_regex)] | None = None
    default: str | None = None


class Send(Model):
    """What is sent with every call."""

    headers: dict[str, TemplateText] = {}
    query: dict[str, TemplateText] = {}


class Idempotency(Model):
    """The provider recognises a repeated write by this header."""

    header: str = "Idempotency-Key"


class TestCall(Model):
    """A call without effect that shows that an account works."""

    __test__ = False

    method: Literal["GET", "HEAD", "POST", "OPTIONS"] = "GET"
    path: str
    query: Pairs = ()
    success: tuple[StatusPattern, ...] = ("2xx",)


class Tls(Model):
    """Certificates beyond the system's; the client's come from the named secrets."""

    ca: str | None = Field(default=None, description="PEM")
    client_certificate_secret: str | None = None
    client_key_secret: str | None = None


class Integration(Model):
    """One external service: where it is, how it authenticates, what every call to it carries."""

    kind: Literal["integration"]
    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="Unique; letters, numbers, - and _")
    name: str
    base_url: TemplateText
    auth: Auth
    parameters: dict[str, Parameter] = {}
    secrets: dict[str, SecretField] = Field(default={}, description="Secrets beside those of auth")
    send: Send = Send()
    hosts: tuple[str, ...] = Field(default=(), description="Further hosts for absolute URLs; exact or *.example.com")
    ports: tuple[int, ...] = Field(default=(), description="Further ports, beside 80, 443 and the base URL's own")
    idempotency: Idempotency | None = None
    unauthorized: tuple[int, ...] = Field(default=(401,), description="Statuses by which a credential is refused")
    test: TestCall | None = None
    tls: Tls | None = None

    @field_validator("parameters", "secrets")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} is no name: letters, digits and _, not beginning with a digit")
        return value

    @property
    def by_consent(self) -> bool:
        """Whether a person connects each account at the provider (RFC 6749 §4.1)."""
        return isinstance(self.auth, OAuth2Auth) and self.auth.grant is Grant.AUTHORIZATION_CODE

    def secret_fields(self) -> dict[str, SecretField]:
        """Everything that the vault must hold for an account, or for the integration itself."""
        return {**self.auth.secret_fields(), **self.secrets}

    def base_url_names(self) -> frozenset[str]:
        """The placeholders that stand in the base URL."""
        return Template.parse(self.base_url).names

    def templates(self) -> Iterator[tuple[str, str, frozenset[str]]]:
        """Every template with its path and the names that may stand in it."""
        common = frozenset(self.parameters) | frozenset(self.secrets)
        placed = common | self.auth.provides()
        in_path = frozenset(item.name for item in self.auth.place if item.in_ is Place.PATH)
        yield "base_url", self.base_url, frozenset(self.parameters) | self._captured() | in_path
        for name, text in self.send.headers.items():
            yield f"send.headers.{name}", text, placed
        for name, text in self.send.query.items():
            yield f"send.query.{name}", text, placed
        for index, placement in enumerate(self.auth.place):
            yield f"auth.place[{index}].value", placement.value, placed
        yield from self._auth_templates(common)

    def _captured(self) -> frozenset[str]:
        return self.auth.captured() if isinstance(self.auth, (OAuth2Auth, CustomTokenAuth)) else frozenset()

    def _auth_templates(self, common: frozenset[str]) -> Iterator[tuple[str, str, frozenset[str]]]:
        known = common | frozenset(self.auth.secret_fields())
        if isinstance(self.auth, OAuth2Auth):
            yield from ((f"auth.{path}", text, known | self._captured()) for path, text in _oauth2_templates(self.auth))
        if isinstance(self.auth, CustomTokenAuth):
            for index, request in enumerate(self.auth.requests):
                yield from _prefixed(f"auth.requests[{index}]", request, known)
                known |= frozenset(request.capture)
            if self.auth.refresh:
                yield from _prefixed("auth.refresh", self.auth.refresh, known)


def _prefixed(prefix: str, request: TokenRequest, known: frozenset[str]) -> Iterator[tuple[str, str, frozenset[str]]]:
    for path, text in request.templates().items():
        yield f"{prefix}.{path}", text, known


def _oauth2_templates(auth: OAuth2Auth) -> Iterator[tuple[str, str]]:
    for stage in ("token", "authorize", "refresh", "revoke"):
        endpoint = getattr(auth, stage)
        if endpoint and endpoint.endpoint:
            yield f"{stage}.endpoint", endpoint.endpoint
        for group in ("params", "headers"):
            for name, text in getattr(endpoint, group, {}).items():
                yield f"{stage}.{group}.{name}", text
    yield from _jwt_templates(auth)


def _jwt_templates(auth: OAuth2Auth) -> Iterator[tuple[str, str]]:
    if auth.issuer:
        yield "issuer", auth.issuer
    if auth.jwt:
        for name in ("issuer", "subject", "audience", "key_id"):
            if text := getattr(auth.jwt, name):
                yield f"jwt.{name}", text
        for name, text in auth.jwt.claims.items():
            yield f"jwt.claims.{name}", text

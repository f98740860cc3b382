"""An integration: how to talk to one external service."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from definitions.auth import Auth, OAuth2Auth
from definitions.auth.oauth2 import Grant
from definitions.base import KEY_PATTERN, Model
from definitions.fields import (
    HeaderName,
    Host,
    Identifier,
    SecretField,
    Status,
    Statuses,
    TemplatePairs,
    TemplateText,
)
from definitions.remote_path import check_remote_path
from definitions.templates import Template


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    except (OverflowError, RecursionError):
        raise ValueError("not a regular expression: its repetitions or groups are too many") from None
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

    headers: dict[HeaderName, TemplateText] = {}
    query: dict[str, TemplateText] = {}


class Idempotency(Model):
    """The provider recognises a repeated write by this header."""

    header: HeaderName = "Idempotency-Key"


class TestCall(Model):
    """A call without effect that shows that an account works."""

    __test__ = False

    method: Literal["GET", "HEAD", "POST", "OPTIONS"] = "GET"
    path: TemplateText
    query: TemplatePairs = ()
    success: Statuses = ("2xx",)


class Tls(Model):
    """Certificates beyond the system's: the same for all accounts, or each account's own from the named secrets."""

    ca: str | None = Field(default=None, description="PEM; the only authority that is trusted then")
    ca_secret: str | None = Field(default=None, description="In place of ca: where each account has another one")
    client_certificate_secret: str | None = None
    client_key_secret: str | None = None

    def secret_names(self) -> frozenset[str]:
        """The secrets that are read here; each is PEM."""
        names = (self.ca_secret, self.client_certificate_secret, self.client_key_secret)
        return frozenset(name for name in names if name)


class SftpServerModes(Model):
    """How an SFTP server wants files to be published, where it cannot do what most can."""

    rename: bool = Field(default=True, description="false: uploads are written under their final name at once")
    temporary_folder: str | None = Field(
        default=None, description="Below the root; else unfinished uploads stand beside their target, as .NAME.….part"
    )
    moves_on_arrival: bool = Field(
        default=False, description="The server takes files away when they have their name: not finding them is no fault"
    )
    stat_after_upload: bool = Field(default=True, description="false: the server refuses to tell of what was uploaded")

    @field_validator("temporary_folder")
    @classmethod
    def _a_path(cls, value: str | None) -> str | None:
        return None if value is None else check_remote_path(value)


class Integration(Model):
    """One external service: where it is, how it authenticates, what every call to it carries."""

    kind: Literal["integration"]
    key: str = Field(pattern=KEY_PATTERN, description="Unique; letters, numbers, - and _")
    name: str
    base_url: TemplateText
    auth: Auth
    parameters: dict[Identifier, Parameter] = {}
    secrets: dict[Identifier, SecretField] = Field(default={}, description="Secrets beside those of auth")
    send: Send = Send()
    hosts: tuple[Host, ...] = Field(default=(), description="Further hosts for absolute URLs; exact or *.example.com")
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        default=(), description="Further ports, beside 80, 443 and the base URL's own"
    )
    idempotency: Idempotency | None = None
    unauthorized: tuple[Status, ...] = Field(default=(401,), description="Statuses by which a credential is refused")
    test: TestCall | None = None
    tls: Tls | None = None
    sftp: SftpServerModes | None = Field(default=None, description="With auth.type sftp")

    @property
    def by_consent(self) -> bool:
        """Whether a person connects each account at the provider (RFC 6749 §4.1)."""
        return isinstance(self.auth, OAuth2Auth) and self.auth.grant is Grant.AUTHORIZATION_CODE

    def secret_fields(self) -> dict[str, SecretField]:
        """Everything that the vault must hold for an account, or for the integration itself."""
        return {**self.auth.secret_fields(), **self.secrets}

    def parameter_values(self, given: Mapping[str, str]) -> dict[str, str]:
        """The parameters of an account: as given, else their defaults."""
        defaults = {name: item.default for name, item in self.parameters.items() if item.default is not None}
        return {**defaults, **given}

    def unfit_parameters(self, values: Mapping[str, str]) -> list[str]:
        """The names of those that do not match their pattern: it may have changed since they were given."""
        patterns = {name: item.pattern for name, item in self.parameters.items() if item.pattern is not None}
        return [name for name in patterns.keys() & values.keys() if not re.fullmatch(patterns[name], values[name])]

    def base_url_names(self) -> frozenset[str]:
        """The placeholders that stand in the base URL."""
        return Template.parse(self.base_url).names

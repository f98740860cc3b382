"""OAuth 2.0 (RFC 6749) with the knobs that real providers need."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from definitions.auth.simple import authorization
from definitions.base import Duration, Model
from definitions.fields import KEEP_ALIVE, Expression, HeaderName, Identifier, SecretField, TemplateText
from definitions.placement import Placement


class Grant(StrEnum):
    """RFC 6749 §4.1 and §4.4, RFC 7523 §2.1."""

    AUTHORIZATION_CODE = "authorization_code"
    CLIENT_CREDENTIALS = "client_credentials"
    JWT_BEARER = "jwt_bearer"


class ClientAuth(StrEnum):
    """How the client proves itself at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2)."""

    BODY = "body"
    BASIC = "basic"
    NONE = "none"
    SECRET_AS_USERNAME = "secret_as_username"
    CLIENT_SECRET_JWT = "client_secret_jwt"
    PRIVATE_KEY_JWT = "private_key_jwt"


class RequestFormat(StrEnum):
    """Where the parameters of a token request stand."""

    FORM = "form"
    JSON = "json"
    QUERY = "query"


class TokenEndpoint(Model):
    """The request that brings a token. `params` are for this stage only."""

    endpoint: TemplateText
    verb: Literal["POST", "GET"] = "POST"
    client_auth: ClientAuth = ClientAuth.BASIC
    params: dict[str, TemplateText] = {}
    headers: dict[HeaderName, TemplateText] = {}
    format: RequestFormat = RequestFormat.FORM
    audience: TemplateText | None = Field(default=None, description="`aud` of a signed client assertion")


class AuthorizeEndpoint(Model):
    """Where a person consents."""

    endpoint: TemplateText
    params: dict[str, TemplateText] = {}
    pkce: bool = Field(default=True, description="PKCE with S256 (RFC 7636)")
    rename: dict[str, str] = Field(default={}, description="Other names for parameters, as {client_id: app_id}")


class RefreshEndpoint(Model):
    """What renewing does differently from the first token request."""

    endpoint: TemplateText | None = None
    params: dict[str, TemplateText] = {}


class RevokeEndpoint(Model):
    """RFC 7009."""

    endpoint: TemplateText


class ExpiryUnit(StrEnum):
    """What the number or text at `response.expires_in` means."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    INSTANT = "instant"


class TokenResponse(Model):
    """Where a token endpoint's answer holds what; JMESPath."""

    token: Expression = "access_token"
    refresh_token: Expression = "refresh_token"
    expires_in: Expression = "expires_in"
    expires_unit: ExpiryUnit = ExpiryUnit.SECONDS
    scope: Expression = "scope"
    error: Expression = Field(default="error", description="Finds an error, also inside an answer with status 200")


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error:
        raise ValueError("not a regular expression") from None
    if groups > 1:
        raise ValueError("a pattern has one group at most: what it matches is taken")
    return text


class CallbackValue(Model):
    """A query parameter of the callback, and what it must look like: a browser brought it."""

    query: str = Field(min_length=1, description="Name of the query parameter")
    pattern: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None, description="What the whole value must match; if there is a group in it, that is what is taken"
    )


def _callback_value(value: Any) -> Any:
    return {"query": value} if isinstance(value, str) else value


class Capture(Model):
    """Values that become parameters of the account."""

    token_reply: dict[Identifier, Expression] = {}
    callback: dict[
        Identifier,
        Annotated[CallbackValue, BeforeValidator(_callback_value, json_schema_input_type=str | CallbackValue)],
    ] = Field(
        default={}, description="Parameter by a query parameter of the callback: by its name, or as {query, pattern}"
    )


class AfterConnect(Model):
    """One authenticated call after connecting, whose answer fills parameters."""

    method: Literal["GET", "POST"] = "GET"
    path: str
    capture: dict[Identifier, Expression] = Field(min_length=1)


class JwtBearer(Model):
    """The assertion of RFC 7523 §2.1; the key is the secret `private_key`."""

    algorithm: Literal["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "HS256"] = "RS256"
    issuer: TemplateText
    subject: TemplateText | None = None
    audience: TemplateText | None = None
    lifetime: Duration = timedelta(minutes=5)
    claims: dict[str, TemplateText] = {}
    key_id: TemplateText | None = None


_ASSERTING = (ClientAuth.PRIVATE_KEY_JWT,)


class OAuth2Auth(Model):
    """OAuth 2.0: the client belongs to the integration, the grant to the account."""

    type: Literal["oauth2"]
    grant: Grant
    token: TokenEndpoint | None = None
    authorize: AuthorizeEndpoint | None = None
    refresh: RefreshEndpoint | None = None
    revoke: RevokeEndpoint | None = None
    scopes: tuple[TemplateText, ...] = ()
    scope_separator: str = " "
    response: TokenResponse = TokenResponse()
    lifetime: Duration | None = Field(default=None, description="Of a token whose answer states none")
    keep_alive: Duration | None = Field(default=None, description=KEEP_ALIVE)
    capture: Capture = Capture()
    after_connect: AfterConnect | None = None
    identity: str | None = Field(
        default=None, description="The captured value that tells external accounts apart. Default: all of them"
    )
    issuer: TemplateText | None = Field(default=None, description="Endpoints by discovery (RFC 8414)")
    jwt: JwtBearer | None = None
    place: tuple[Placement, ...] = authorization("Bearer {token}")

    @property
    def renews(self) -> bool:
        return True

    def secret_fields(self) -> dict[str, SecretField]:
        client_auth = self.token.client_auth if self.token else ClientAuth.BASIC
        fields = {"client_id": SecretField(label="Client ID", identifier=True)}
        if client_auth is ClientAuth.PRIVATE_KEY_JWT or self.grant is Grant.JWT_BEARER:
            fields["private_key"] = SecretField(label="Private key (PEM)")
        if client_auth not in (ClientAuth.NONE, *_ASSERTING):
            fields["client_secret"] = SecretField(
                label="Client secret", optional=self.grant is not Grant.CLIENT_CREDENTIALS
            )
        return fields

    def provides(self) -> frozenset[str]:
        return frozenset({"token", "client_id"}) | self.captured()

    def captured(self) -> frozenset[str]:
        """The names that replies and callbacks fill."""
        after = frozenset(self.after_connect.capture) if self.after_connect else frozenset()
        return frozenset(self.capture.token_reply) | frozenset(self.capture.callback) | after

    @model_validator(mode="after")
    def _is_consistent(self) -> "OAuth2Auth":
        if self.token is None and self.issuer is None:
            raise ValueError("token.endpoint is missing: every grant needs it, or an issuer to discover it from")
        if self.grant is Grant.AUTHORIZATION_CODE and self.authorize is None and self.issuer is None:
            raise ValueError("authorize.endpoint is missing: the grant authorization_code needs it, or an issuer")
        if (self.jwt is None) is (self.grant is Grant.JWT_BEARER):
            raise ValueError("jwt goes with the grant jwt_bearer, and with no other")
        if self.grant is not Grant.AUTHORIZATION_CODE and (self.capture.callback or self.after_connect):
            raise ValueError("capture.callback and after_connect go with the grant authorization_code only")
        if self.identity is not None and self.identity not in self.captured():
            raise ValueError("identity must name a value that capture or after_connect fills")
        return self

"""OAuth 2.0 grants as token sources (RFC 6749, RFC 7523)."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auth.client_authentication import prove_client, sign_grant
from auth.credential import OpenAccount
from auth.errors import UnbuildableRequest
from auth.external_account import id_token_subject
from auth.token_record import RawReply, StoredToken
from auth.token_reply import ReplyPaths, TokenReply, parse_token_reply
from auth.token_request import FORM, JSON, endpoint_url, form, render_all, token_request
from definitions.auth.oauth2 import OAuth2Auth, RequestFormat, TokenEndpoint
from definitions.templates import Template
from net.messages import OutboundRequest

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True, repr=False)
class ClientCredentials:
    """RFC 6749 §4.4: the client asks in its own name. Nothing is spent, so it can always ask again."""

    opened: OpenAccount
    auth: OAuth2Auth
    name: str = "client_credentials"
    spends: None = None

    def next_request(self, replies: Sequence[RawReply]) -> OutboundRequest | None:
        """One request, one reply."""
        if replies:
            return None
        return oauth2_request(
            self.opened, self.auth, {"grant_type": "client_credentials"} | scope_param(self.auth, self.opened)
        )

    def read(self, replies: Sequence[RawReply]) -> TokenReply:
        """The reply of RFC 6749 §5.1."""
        return read_reply(self.auth, replies)


@dataclass(frozen=True, slots=True, repr=False)
class JwtBearerGrant:
    """RFC 7523 §2.1: a signed assertion is the grant. A new one is signed each time, so nothing is spent."""

    opened: OpenAccount
    auth: OAuth2Auth
    name: str = "jwt_bearer"
    spends: None = None

    def next_request(self, replies: Sequence[RawReply]) -> OutboundRequest | None:
        """One request, one reply."""
        if replies:
            return None
        assertion = sign_grant(self.auth, self.opened.texts(), _token_url(self.auth, self.opened))
        return oauth2_request(
            self.opened,
            self.auth,
            {"grant_type": JWT_BEARER, "assertion": assertion} | scope_param(self.auth, self.opened),
        )

    def read(self, replies: Sequence[RawReply]) -> TokenReply:
        """The reply of RFC 6749 §5.1."""
        return read_reply(self.auth, replies)


@dataclass(frozen=True, slots=True, repr=False)
class RefreshToken:
    """RFC 6749 §6. The reply's new refresh token is the only heir of the one that was spent."""

    opened: OpenAccount
    auth: OAuth2Auth
    stored: StoredToken
    name: str = "refresh_token"

    @property
    def spends(self) -> str | None:
        """The stored refresh token."""
        return self.stored.refresh_token

    def next_request(self, replies: Sequence[RawReply]) -> OutboundRequest | None:
        """One request, one reply; the parameters of the token stage stay with the token stage."""
        if replies:
            return None
        stage, refresh = _token_stage(self.auth), self.auth.refresh
        renewing = stage.model_copy(
            update={
                "endpoint": (refresh.endpoint if refresh else None) or stage.endpoint,
                "params": refresh.params if refresh else {},
            }
        )
        params = {"grant_type": "refresh_token", "refresh_token": self.stored.refresh_token or ""}
        return oauth2_request(self._opened(), self.auth, params, renewing)

    def read(self, replies: Sequence[RawReply]) -> TokenReply:
        """The new token; what the reply does not say anew stays as it was."""
        reply = read_reply(self.auth, replies)
        return dataclasses.replace(
            reply,
            captured={**self.stored.captured, **reply.captured},
            scope=reply.scope or self.stored.scope,
        )

    def _opened(self) -> OpenAccount:
        """With what was captured when it was connected: it may stand in the endpoint's URL."""
        return dataclasses.replace(self.opened, parameters={**self.opened.parameters, **self.stored.captured})


@dataclass(frozen=True, slots=True, repr=False)
class AuthorizationCode:
    """RFC 6749 §4.1.3: the code that a person's consent brought. It is no heir of any token, so it `spends` none."""

    opened: OpenAccount
    auth: OAuth2Auth
    code: str
    redirect_uri: str
    verifier: str | None
    captured: Mapping[str, str] = field(default_factory=dict)
    """From the callback."""
    name: str = "authorization_code"
    spends: None = None

    def next_request(self, replies: Sequence[RawReply]) -> OutboundRequest | None:
        """One request, one reply."""
        if replies:
            return None
        params = {"grant_type": "authorization_code", "code": self.code, "redirect_uri": self.redirect_uri}
        if self.verifier:
            params["code_verifier"] = self.verifier
        opened = dataclasses.replace(self.opened, parameters={**self.opened.parameters, **self.captured})
        return oauth2_request(opened, self.auth, params)

    def read(self, replies: Sequence[RawReply]) -> TokenReply:
        """The reply of RFC 6749 §5.1, with what the callback brought."""
        reply = read_reply(self.auth, replies)
        subject = id_token_subject(replies[-1])
        return dataclasses.replace(reply, captured={**self.captured, **reply.captured}, subject=subject)


def oauth2_request(
    opened: OpenAccount, auth: OAuth2Auth, params: Mapping[str, str], stage: TokenEndpoint | None = None
) -> OutboundRequest:
    """A request to the token endpoint: the grant's parameters, the definition's own, and the client's proof."""
    texts = opened.texts()
    stage = stage or _token_stage(auth)
    url = endpoint_url(stage.endpoint, texts, {})
    audience = Template.parse(stage.audience).render(texts) if stage.audience else url
    proof = prove_client(stage.client_auth, texts, audience)
    fields = {**params, **render_all(stage.params, texts), **proof.params}
    return _encoded(opened, stage, fields, {**render_all(stage.headers, texts), **proof.headers})


def scope_param(auth: OAuth2Auth, opened: OpenAccount) -> dict[str, str]:
    """`scope`, when the definition names any."""
    asked = scopes(auth, opened)
    return {"scope": auth.scope_separator.join(asked)} if asked else {}


def scopes(auth: OAuth2Auth, opened: OpenAccount) -> list[str]:
    """What is asked for, filled for this account."""
    texts = opened.texts()
    return [Template.parse(scope).render(texts) for scope in auth.scopes]


def read_reply(auth: OAuth2Auth, replies: Sequence[RawReply]) -> TokenReply:
    """The last reply, as this provider writes it."""
    reply = replies[-1]
    return parse_token_reply(reply.status, reply.headers, reply.body, reply_paths(auth), reply.requested_at)


def reply_paths(auth: OAuth2Auth) -> ReplyPaths:
    """Where this provider's replies say what."""
    response = auth.response
    return ReplyPaths(
        token=response.token,
        refresh_token=response.refresh_token,
        expires_in=response.expires_in,
        expires_unit=response.expires_unit.value,
        scope=response.scope,
        error=response.error,
        captures=auth.capture.token_reply,
        lifetime=auth.lifetime.total_seconds() if auth.lifetime else None,
    )


def _token_stage(auth: OAuth2Auth) -> TokenEndpoint:
    if auth.token is None:
        raise UnbuildableRequest("auth.token.endpoint is missing, and was not discovered from auth.issuer")
    return auth.token


def _token_url(auth: OAuth2Auth, opened: OpenAccount) -> str:
    return endpoint_url(_token_stage(auth).endpoint, opened.texts(), {})


def _encoded(
    opened: OpenAccount, stage: TokenEndpoint, fields: Mapping[str, str], headers: Mapping[str, str]
) -> OutboundRequest:
    texts = opened.texts()
    if stage.format is RequestFormat.QUERY or stage.verb == "GET":
        return token_request(opened, stage.verb, endpoint_url(stage.endpoint, texts, fields), headers)
    url = endpoint_url(stage.endpoint, texts, {})
    if stage.format is RequestFormat.JSON:
        return token_request(opened, stage.verb, url, headers, json.dumps(dict(fields)).encode(), JSON)
    return token_request(opened, stage.verb, url, headers, form(fields), FORM)

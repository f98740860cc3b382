"""OAuth 2.0 grants as token sources (RFC 6749)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auth.client_authentication import prove_client
from auth.credential import OpenAccount
from auth.errors import UnbuildableRequest
from auth.token_record import RawReply
from auth.token_reply import ReplyPaths, TokenReply, parse_token_reply
from auth.token_request import FORM, JSON, endpoint_url, form, render_all, token_request
from definitions.auth.oauth2 import OAuth2Auth, RequestFormat, TokenEndpoint
from definitions.templates import Template
from net.messages import OutboundRequest


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
        reply = replies[-1]
        return parse_token_reply(reply.status, reply.headers, reply.body, reply_paths(self.auth), reply.requested_at)


def oauth2_request(opened: OpenAccount, auth: OAuth2Auth, params: Mapping[str, str]) -> OutboundRequest:
    """A request to the token endpoint: the grant's parameters, the definition's own, and the client's proof."""
    if auth.token is None:
        raise UnbuildableRequest("auth.token.endpoint is missing: discovery by issuer is not available for this grant")
    texts = opened.texts()
    stage = auth.token
    url = endpoint_url(stage.endpoint, texts, {})
    audience = Template.parse(stage.audience).render(texts) if stage.audience else url
    proof = prove_client(stage.client_auth, texts, audience)
    fields = {**params, **render_all(stage.params, texts), **proof.params}
    return _encoded(opened, stage, fields, {**render_all(stage.headers, texts), **proof.headers})


def scope_param(auth: OAuth2Auth, opened: OpenAccount) -> dict[str, str]:
    """`scope`, when the definition names any."""
    texts = opened.texts()
    scopes = [Template.parse(scope).render(texts) for scope in auth.scopes]
    return {"scope": auth.scope_separator.join(scopes)} if scopes else {}


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

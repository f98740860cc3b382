"""Tokens by requests of the integration's own making: log in, exchange, and so on."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from auth.credential import OpenAccount
from auth.filling import fill
from auth.token_error import ErrorClass
from auth.token_record import RawReply, StoredToken
from auth.token_reply import ReplyPaths, TokenReply, parse_token_reply, read_step_reply
from auth.token_request import FORM, JSON, endpoint_url, form, render_all, token_request
from definitions.auth import CustomTokenAuth, TokenRequest
from definitions.auth.custom_token import MEANT, BodyFormat
from net.messages import OutboundRequest
from net.redaction import LIVE_SECRETS


@dataclass(frozen=True, slots=True, repr=False)
class CustomTokenChain:
    """All requests from the account's own secrets; each sees what the ones before it captured."""

    opened: OpenAccount
    auth: CustomTokenAuth
    name: str = "requests"
    spends: None = None

    def next_request(self, replies: Sequence[RawReply]) -> OutboundRequest | None:
        """The request after the last reply."""
        if len(replies) == len(self.auth.requests):
            return None
        captured = self._captured(replies)
        self._watch_for(captured)
        texts = self.opened.texts() | captured
        return _request(self.opened, self.auth.requests[len(replies)], texts)

    def read(self, replies: Sequence[RawReply]) -> TokenReply:
        """The last reply's token, with everything that the chain captured."""
        before = self._captured(replies[:-1])
        reply = _parse(replies[-1], _paths(self.auth, self.auth.requests[-1]))
        return dataclasses.replace(
            reply,
            refresh_token=reply.refresh_token or before.get("refresh_token"),
            captured=_values(before) | dict(reply.captured),
        )

    def _watch_for(self, captured: Mapping[str, str]) -> None:
        """A session is as good as a password, and providers quote what they refuse."""
        for name in captured.keys() - self.opened.integration.base_url_names():
            LIVE_SECRETS.add(captured[name])

    def _captured(self, replies: Sequence[RawReply]) -> dict[str, str]:
        captured: dict[str, str] = {}
        for request, reply in zip(self.auth.requests, replies, strict=False):
            paths = dataclasses.replace(_paths(self.auth, request), captures=request.capture)
            captured |= read_step_reply(reply.status, reply.headers, reply.body, paths)
        return captured


@dataclass(frozen=True, slots=True, repr=False)
class CustomTokenRefresh:
    """The request that renews with the refresh token, and with whatever the chain captured."""

    opened: OpenAccount
    auth: CustomTokenAuth
    request: TokenRequest
    stored: StoredToken
    name: str = "refresh"

    @property
    def spends(self) -> str | None:
        """The stored refresh token."""
        return self.stored.refresh_token

    def next_request(self, replies: Sequence[RawReply]) -> OutboundRequest | None:
        """One request, one reply."""
        if replies:
            return None
        own = {"token": self.stored.token, "refresh_token": self.stored.refresh_token or ""}
        return _request(self.opened, self.request, {**self.opened.texts(), **self.stored.captured, **own})

    def read(self, replies: Sequence[RawReply]) -> TokenReply:
        """The new token; what the reply does not capture anew stays as it was."""
        # Where a login can follow, no refusal is worth waiting for.
        paths = dataclasses.replace(_paths(self.auth, self.request), unclear=ErrorClass.PERMANENT_GRANT)
        reply = _parse(replies[-1], paths)
        return dataclasses.replace(reply, captured={**self.stored.captured, **reply.captured})


def _request(opened: OpenAccount, request: TokenRequest, texts: Mapping[str, str]) -> OutboundRequest:
    url = endpoint_url(request.endpoint, texts, render_all(request.query, texts))
    headers = render_all(request.headers, texts)
    if request.body is None:
        return token_request(opened, request.verb, url, headers)
    values = {name: _filled(value, texts) for name, value in request.body.values.items()}
    if request.body.type is BodyFormat.JSON:
        return token_request(opened, request.verb, url, headers, json.dumps(values).encode(), JSON)
    fields = {name: _form_text(value) for name, value in values.items()}
    return token_request(opened, request.verb, url, headers, form(fields), FORM)


def _filled(value: JsonValue, texts: Mapping[str, str]) -> JsonValue:
    """Templates at any depth, each filled by itself: a quotation mark in a password stays inside its string."""
    if isinstance(value, str):
        return fill(value, texts)
    if isinstance(value, dict):
        return {name: _filled(item, texts) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, texts) for item in value]
    return value


def _form_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _paths(auth: CustomTokenAuth, request: TokenRequest) -> ReplyPaths:
    capture = request.capture
    return ReplyPaths(
        token=capture.get("token", ""),
        refresh_token=capture.get("refresh_token"),
        expires_in=capture.get("expires_in"),
        expires_at=capture.get("expires_at"),
        scope=None,
        error=auth.error or "error",
        error_wins=auth.error is not None,
        captures=_values(capture),
        lifetime=auth.lifetime.total_seconds() if auth.lifetime else None,
        refused=ErrorClass.PERMANENT_GRANT,
    )


def _values(captured: Mapping[str, str]) -> dict[str, str]:
    """What is captured for placements and later requests, without what the token state is made of."""
    return {name: value for name, value in captured.items() if name not in MEANT}


def _parse(reply: RawReply, paths: ReplyPaths) -> TokenReply:
    return parse_token_reply(reply.status, reply.headers, reply.body, paths, reply.requested_at)

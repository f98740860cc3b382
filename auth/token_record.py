"""What the vault keeps of a token: the token itself, and the raw replies of a redemption that is under way."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KEPT_REPLY_HEADERS = ("content-type", "date", "retry-after", "ratelimit", "x-ratelimit", "x-rate-limit")
"""Prefixes. By `Date` a wait until an instant is right though the provider's clock is not."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """The current token of an account; its expiry stands in clear in the row beside it."""

    token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    captured: Mapping[str, str] = field(default_factory=dict, repr=False)
    scope: str | None = None
    basis: str = ""
    """Digest of what the token was asked for with: another basis (a new password, other scopes) needs a new token."""

    def dumps(self) -> bytes:
        """As JSON; text that is no valid Unicode survives, since a refresh token is kept as it came."""
        return json.dumps(
            {
                "token": self.token,
                "refresh_token": self.refresh_token,
                "captured": dict(self.captured),
                "scope": self.scope,
                "basis": self.basis,
            }
        ).encode()

    @classmethod
    def loads(cls, content: str) -> "StoredToken":
        """The inverse of `dumps`."""
        return cls(**json.loads(content))


@dataclass(frozen=True, slots=True)
class RawReply:
    """A token endpoint's answer before anything was made of it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    requested_at: float
    """Epoch seconds by the database's clock, before the request was sent."""


@dataclass(frozen=True, slots=True)
class PendingReplies:
    """The replies of one redemption, stored as they come so that neither a crash nor a parser can lose them."""

    source: str
    """Which token source asked."""
    basis: str
    replies: tuple[RawReply, ...] = ()

    def dumps(self) -> bytes:
        """As JSON, bodies in base64."""
        return json.dumps(
            {
                "source": self.source,
                "basis": self.basis,
                "replies": [
                    [reply.status, reply.headers, base64.b64encode(reply.body).decode(), reply.requested_at]
                    for reply in self.replies
                ],
            }
        ).encode()

    @classmethod
    def loads(cls, content: str) -> "PendingReplies":
        """The inverse of `dumps`."""
        data = json.loads(content)
        replies = tuple(
            RawReply(status, tuple((name, value) for name, value in headers), base64.b64decode(body), requested_at)
            for status, headers, body, requested_at in data["replies"]
        )
        return cls(data["source"], data["basis"], replies)


def kept_headers(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers that a token reply is read by."""
    return tuple((name, value) for name, value in headers if name.lower().startswith(KEPT_REPLY_HEADERS))


def fingerprint(refresh_token: str | None) -> str | None:
    """Tells refresh tokens apart in clear: they are long and random, so 64 bits of a digest give nothing away."""
    if refresh_token is None:
        return None
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).hexdigest()[:16]

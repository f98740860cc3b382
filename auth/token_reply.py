"""What did the token endpoint say? From raw bytes to a token, or to an error whose class decides what happens next.

A renewed refresh token must survive whatever surrounds it: an expiry that is no number, a body that is no JSON, an
error beside it. So everything but the token is optional here, and an error carries the refresh token that came with it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn

import jmespath
from jmespath.exceptions import JMESPathError

from auth.expiry import instant_lifetime, jwt_lifetime, number_lifetime
from auth.reply_body import read_body
from auth.token_error import ErrorClass, TokenReplyError, classify, error_code, error_description
from net.retry_after import retry_after

MAX_RETRY_AFTER = 3600.0
"""Seconds."""

OPTIONAL_CAPTURES = frozenset({"expires_in", "expires_at", "refresh_token"})

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ReplyPaths:
    """Where a token reply says what, as JMESPath expressions, and what to assume where it is silent."""

    token: str = "access_token"  # noqa: S105 - where to look, not what is found
    refresh_token: str | None = "refresh_token"  # noqa: S105
    expires_in: str | None = "expires_in"
    expires_unit: Literal["s", "ms", "instant"] = "s"
    expires_at: str | None = "expires_at"
    scope: str | None = "scope"
    error: str | None = "error"
    error_wins: bool = False
    """Whether an error beside a token counts: when the definition says by itself how to find one."""
    captures: Mapping[str, str] = field(default_factory=dict)
    lifetime: float | None = None
    """Seconds that a token lives when its reply does not say."""
    refused: ErrorClass = ErrorClass.PERMANENT_CLIENT
    """What a bare 401 is about: the OAuth client, or the account whose own password was sent."""
    unclear: ErrorClass = ErrorClass.TRANSIENT
    """What another refusal is about that says nothing: a 4xx without a code, or an unknown one, in a 200 too."""


@dataclass(frozen=True, slots=True)
class TokenReply:
    """A token as it was issued. `refresh_token` is None when the reply brought none: the previous one stays valid."""

    token: str = field(repr=False)
    issued_at: float
    """Epoch seconds, before the request was sent."""
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    """Epoch seconds; None when nobody knows."""
    refresh_expires_at: float | None = None
    scope: str | None = None
    captured: Mapping[str, str] = field(default_factory=dict, repr=False)
    subject: str | None = field(default=None, repr=False)
    """Who consented, where the reply of a code holds an ID token (OpenID Connect Core §2)."""


def parse_token_reply(status: int, headers: Headers, body: bytes, paths: ReplyPaths, requested_at: float) -> TokenReply:
    """Read a token endpoint's answer; `requested_at` is the epoch second before the request was sent.

    Raises:
        TokenReplyError: the only error, whatever the bytes.
    """
    data = read_body(headers, body)
    if not 200 <= status < 300:
        _refuse(status, headers, data, paths)
    refresh_token = _text(_find(paths.refresh_token, data))
    token = _text(_find(paths.token, data))
    if token is None or (paths.error_wins and error_code(_find(paths.error, data))):
        _refuse(status, headers, data, paths, refresh_token)
    lifetime = _lifetime(data, token, paths, requested_at)
    refresh_lifetime = _refresh_lifetime(data)
    return TokenReply(
        token=token,
        issued_at=requested_at,
        refresh_token=refresh_token,
        expires_at=None if lifetime is None else requested_at + lifetime,
        refresh_expires_at=None if refresh_lifetime is None else requested_at + refresh_lifetime,
        scope=_scope(_find(paths.scope, data)),
        captured=read_captures(data, paths.captures),
    )


def read_step_reply(status: int, headers: Headers, body: bytes, paths: ReplyPaths) -> dict[str, str]:
    """What an answer on the way to the token (a login before the exchange) captures.

    Raises:
        TokenReplyError: the answer is an error, or lacks what it should bring.
    """
    data = read_body(headers, body)
    captured = read_captures(data, paths.captures)
    missing = paths.captures.keys() - captured.keys() - OPTIONAL_CAPTURES
    if not 200 <= status < 300 or missing or (paths.error_wins and error_code(_find(paths.error, data))):
        _refuse(status, headers, data, paths)
    return captured


def read_captures(data: object, captures: Mapping[str, str]) -> dict[str, str]:
    """What the named paths find; what they do not find is left out."""
    found = {name: _text(_find(path, data)) for name, path in captures.items()}
    return {name: value for name, value in found.items() if value is not None}


def _refuse(
    status: int, headers: Headers, data: object, paths: ReplyPaths, refresh_token: str | None = None
) -> NoReturn:
    code = error_code(_find(paths.error, data))
    description = error_description(data)
    # What the definition calls an error is the account's, as a denied login is: repeated, it would lock the account.
    unclear = paths.refused if paths.error_wins and 200 <= status < 300 else paths.unclear
    class_ = classify(status, code, description, refused=paths.refused, unclear=unclear)
    raise TokenReplyError(
        class_,
        code or ("no_token" if 200 <= status < 300 else f"status_{status}"),
        status=status,
        retry_after=_wait(headers) if class_ is ErrorClass.TRANSIENT else None,
        description=description,
        refresh_token=refresh_token,
    )


def _wait(headers: Headers) -> float | None:
    return retry_after(headers, now=datetime.now(UTC), limit=MAX_RETRY_AFTER)


def _lifetime(data: object, token: str, paths: ReplyPaths, requested_at: float) -> float | None:
    """Seconds from `requested_at`: as the reply says, else as the definition says, else as a JWT says of itself."""
    stated = _find(paths.expires_in, data)
    if paths.expires_unit == "instant":
        found = instant_lifetime(stated, requested_at)
    else:
        found = number_lifetime(stated, scale=0.001 if paths.expires_unit == "ms" else 1.0)
    return (
        found
        or instant_lifetime(_find(paths.expires_at, data), requested_at)
        or paths.lifetime
        or jwt_lifetime(token, requested_at)
    )


def _refresh_lifetime(data: object) -> float | None:
    """`refresh_token_expires_in` (GitHub, LinkedIn), `refresh_expires_in` (Keycloak, where 0 means for ever)."""
    return number_lifetime(_find("refresh_token_expires_in", data)) or number_lifetime(
        _find("refresh_expires_in", data)
    )


def _find(path: str | None, data: object) -> Any:
    if path is None:
        return None
    try:
        return jmespath.search(path, data)
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return str(value)


def _scope(value: object) -> str | None:
    if isinstance(value, list):
        return " ".join(item for item in value if isinstance(item, str)) or None
    return _text(value)

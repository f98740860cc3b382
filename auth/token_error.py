"""What is wrong when a token endpoint brings no token, and who can help: the classes of its errors."""

import re
from collections.abc import Mapping
from enum import StrEnum

from net.redaction import LIVE_SECRETS

TRANSIENT_STATUSES = frozenset({408, 425, 429})


class ErrorClass(StrEnum):
    """The errors of RFC 6749 §5.2, and of providers' own, by what helps."""

    TRANSIENT = "transient"
    """Ask again later; the stored token stays as it is."""
    PERMANENT_GRANT = "permanent_grant"
    """This account's grant is dead: somebody must reconnect it."""
    PERMANENT_CLIENT = "permanent_client"
    """The OAuth client is refused, whatever the account."""
    CONFIGURATION = "configuration"
    """The request itself is wrong: the definition must be corrected."""


class TokenReplyError(Exception):
    """A token endpoint's answer that brings no token. The message holds no data but the error's code."""

    def __init__(
        self,
        class_: ErrorClass,
        code: str,
        *,
        status: int,
        retry_after: float | None = None,
        description: str | None = None,
        refresh_token: str | None = None,
    ) -> None:
        super().__init__(f"the token endpoint answered {status} ({code})")
        self.class_ = class_
        self.code = code
        self.status = status
        self.retry_after = retry_after
        """Seconds."""
        self.description = description
        """The provider's own words, scrubbed, at most 300 characters."""
        self.refresh_token = refresh_token
        """A refresh token that came with the error all the same, and must not be lost."""

    @property
    def unknown(self) -> bool:
        """Whether the request was refused with a word that nobody knows: for once, or for good."""
        return self.class_ is ErrorClass.TRANSIENT and _is_unknown_word(self.status, self.code, self.description)

    @property
    def in_doubt(self) -> bool:
        """Whether the grant may have been spent although no token came back: the answer says success, unreadably."""
        return 200 <= self.status < 300 and self.class_ is ErrorClass.TRANSIENT


_CODES = {
    ErrorClass.TRANSIENT: ("temporarily_unavailable", "slow_down", "server_error", "rate_limited"),
    ErrorClass.PERMANENT_CLIENT: (
        "invalid_client",
        "unauthorized_client",
        "incorrect_client_credentials",  # GitHub
        "invalid_client_id",  # Slack, as the next
        "bad_client_secret",
    ),
    ErrorClass.CONFIGURATION: (
        "invalid_scope",
        "invalid_request",
        "invalid_target",
        "unsupported_grant_type",
        "unsupported_response_type",
    ),
    ErrorClass.PERMANENT_GRANT: (
        "invalid_grant",
        "bad_refresh_token",
        "invalid_refresh_token",
        "expired_token",
        "token_expired",
        "token_revoked",
        "account_inactive",
        "invalid_token",
        "invalid_credentials",
        "access_denied",
        "consent_required",
        "interaction_required",
        "login_required",
    ),
}
_CLASS_OF = {code: class_ for class_, codes in _CODES.items() for code in codes}

# Some providers throttle with the words of a refusal (Zoho: 400 "Access Denied", "You have made too many requests").
_THROTTLED = re.compile(r"too many|rate.?limit|throttl|try again (?:later|after)", re.IGNORECASE)

_TROUBLE = re.compile(r"maintenance|internal|unavailable|quota|time.?out|busy|overload|temporar", re.IGNORECASE)
"""In a code of the provider's own: it has trouble, and says nothing of the grant."""


def classify(
    status: int,
    code: str | None,
    description: str | None,
    *,
    refused: ErrorClass,
    unclear: ErrorClass = ErrorClass.TRANSIENT,
) -> ErrorClass:
    """The class of an error; `refused` is what a bare 401 is about, `unclear` an unknown word or a bare 4xx.

    What is not surely permanent is best held for transient, where a dead account costs a person's time.
    """
    throttled = any(_THROTTLED.search(text) for text in (code, description) if text)
    if status in TRANSIENT_STATUSES or status >= 500 or throttled:
        return ErrorClass.TRANSIENT
    if code in _CLASS_OF:
        return _CLASS_OF[code]
    if 200 <= status < 300:
        return unclear if code and not _TROUBLE.search(code) else ErrorClass.TRANSIENT
    if status == 401:
        return refused
    return ErrorClass.CONFIGURATION if status < 400 else unclear


def _is_unknown_word(status: int, code: str, description: str | None) -> bool:
    if not 400 <= status < 500 or status in TRANSIENT_STATUSES or code in _CLASS_OF or code.startswith("status_"):
        return False
    return not any(_THROTTLED.search(text) or _TROUBLE.search(text) for text in (code, description) if text)


def error_code(error: object) -> str | None:
    """The code in an `error` member: text (RFC 6749), an object (Google), or anything that is not nothing."""
    if not error:
        return None
    if isinstance(error, Mapping):
        inner = (error.get(name) for name in ("error", "type", "status", "code", "message"))
        error = next((value for value in inner if value), None)
    elif isinstance(error, list):
        error = error[0]
    if isinstance(error, bool) or not isinstance(error, str | int | float):
        return "error"
    # A code is shown and stored, so it holds no more than a code does.
    return re.sub(r"[^A-Za-z0-9_.:-]+", "_", LIVE_SECRETS.scrub(str(error))[:64])


def error_description(data: object) -> str | None:
    """The provider's own words beside the code, scrubbed before they are cut: half a secret is not found any more."""
    if not isinstance(data, Mapping):
        return None
    error = data.get("error")
    places = (data, error) if isinstance(error, Mapping) else (data,)
    texts = (place.get(name) for place in places for name in ("error_description", "message", "error_message"))
    found = next((text for text in texts if isinstance(text, str) and text), None)
    return LIVE_SECRETS.scrub(found)[:300] if found else None

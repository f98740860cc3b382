"""Why there is no credential, and what somebody can do about it.

Messages name accounts, integrations and profiles, never a secret: they are shown, logged and kept in histories.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class AuthError(Exception):
    """The base of every error of this room."""


class CredentialError(AuthError):
    """No usable credential for a call; nothing was sent to the provider's API.

    `code` is stable and machine-readable, `action` is the next step for a person, `retry_after` in seconds.
    """

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, action: str, account: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.action = action
        self.account = account
        self.retry_after = retry_after


class UnknownProfile(CredentialError):
    """No profile of this name was applied."""

    code = "unknown_profile"


class UnknownAdapter(CredentialError):
    """The profile knows no adapter of this name."""

    code = "unknown_adapter"


class Unbound(CredentialError):
    """The adapter, or its subject, is bound to no connected account, or to one that is gone."""

    code = "unbound"


class NoSubject(CredentialError):
    """The adapter is bound per subject, and the call names none."""

    code = "no_subject"


class Unfit(CredentialError):
    """The adapter leads to a service that speaks another protocol than the operation."""

    code = "unfit"


class NeedsReconnect(CredentialError):
    """The provider ended this account's grant: only a person can bring it back."""

    code = "needs_reconnect"


class TokenUnavailable(CredentialError):
    """No token right now; asking again later can help. The stored token is as it was."""

    code = "token_unavailable"
    retryable = True


class HostClosed(TokenUnavailable):
    """The token endpoint's host asked to be left alone for a while; it was not asked."""


class Undiscovered(TokenUnavailable):
    """The issuer's metadata could not be had: its token endpoint was not asked."""


class ClientRefused(CredentialError):
    """The provider refused the OAuth client itself; the account is as it was."""

    code = "client_refused"


class Misconfigured(CredentialError):
    """The token request, or a placement, cannot work as it is defined."""

    code = "misconfigured"


class Unreadable(CredentialError):
    """A stored secret cannot be decrypted: its key is gone or the record was changed."""

    code = "unreadable"


class UnbuildableRequest(AuthError, ValueError):
    """A token request cannot be put together; the text names what is missing or wrong, never a value."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'crm'?`, or what is known, or nothing; to be put behind a message."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known: {', '.join(names[:10])}." if names else ""

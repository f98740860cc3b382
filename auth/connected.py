"""What a connect brought, told plainly: also what it did not bring, and when that will matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from auth.credential import OpenAccount
from auth.oauth2_sources import scopes
from auth.token_reply import TokenReply
from definitions.auth import OAuth2Auth


@dataclass(frozen=True, slots=True)
class Connected:
    """A connected account. `expires_at` in epoch seconds: of the access token, None when nobody knows."""

    account: str
    attempt: str
    """The id of the attempt that brought it."""
    renews: bool
    """Whether there is a refresh token: without one, the account ends with its access token."""
    expires_at: float | None
    not_granted: tuple[str, ...]
    """Scopes that were asked for and not given."""

    @property
    def told(self) -> str:
        """In a few sentences."""
        told = f"account {self.account}: connected"
        if self.not_granted:
            told += f". Not granted: {', '.join(self.not_granted)}"
        if self.renews:
            return told
        return (
            f"{told}. The provider gave no refresh token: the account stops working {self._end} and must then be "
            "connected again. To be given one, ask for it as the provider wants it: authorize.params "
            "{access_type: offline, prompt: consent}, or the scope offline_access, and connect again"
        )

    @property
    def _end(self) -> str:
        if self.expires_at is None:
            return "when its access token ends, which the provider does not tell beforehand,"
        return f"on {datetime.fromtimestamp(self.expires_at, UTC):%Y-%m-%d at %H:%M UTC}"


def connected(attempt: str, opened: OpenAccount, auth: OAuth2Auth, reply: TokenReply) -> Connected:
    """The outcome of a reply that was put in force."""
    return Connected(
        opened.account.name,
        attempt,
        reply.refresh_token is not None,
        reply.expires_at,
        _not_granted(auth, scopes(auth, opened), reply.scope),
    )


def _not_granted(auth: OAuth2Auth, asked: Sequence[str], scope: str | None) -> tuple[str, ...]:
    """RFC 6749 §5.1: a reply without a scope grants what was asked for."""
    if scope is None:
        return ()
    granted = set(scope.replace(auth.scope_separator, " ").replace(",", " ").split())
    return tuple(name for name in asked if name not in granted)

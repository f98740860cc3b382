"""Opaque tokens with a lifetime."""

import secrets
import time
from collections.abc import Callable


class TokenBook:
    """Tokens of one kind: whom each belongs to, and until when. `lifetime` in seconds."""

    def __init__(self, prefix: str, lifetime: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.lifetime = lifetime
        self._prefix = prefix
        self._clock = clock
        self._issued: dict[str, tuple[str, float]] = {}

    def issue(self, account: str) -> str:
        token = self._prefix + secrets.token_urlsafe(24)
        self._issued[token] = (account, self._clock() + self.lifetime)
        return token

    def account_of(self, token: str | None) -> str | None:
        """None for a token that is unknown, expired or revoked."""
        account, until = self._issued.get(token or "", (None, 0.0))
        return account if self._clock() < until else None

    def use_up(self, token: str | None) -> str | None:
        """As `account_of`, for tokens that serve once."""
        account = self.account_of(token)
        self._issued.pop(token or "", None)
        return account

    def revoke_all(self) -> None:
        """From now on, every token issued so far is refused."""
        self._issued.clear()

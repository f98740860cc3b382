"""What is told about an account's token: when it ends, and what happens before."""

from datetime import UTC, datetime
from typing import Literal, TypedDict

from storage.tokens import TokenRow

ON_DEMAND: Literal["on demand"] = "on demand"


class TokenTimes(TypedDict):
    """Fields of an account that has, or had, a token; a failure is told as long as no token has come since."""

    token_version: int
    token_expires_at: datetime | None
    token_renews_at: datetime | Literal["on demand"] | None
    refresh_token_expires_at: datetime | None
    token_last_error: str | None


def token_times(token: TokenRow) -> TokenTimes:
    """Of a row of which there is at least one token."""
    ahead = token.state == "active" and token.refresh_at is not None
    return {
        "token_version": token.version,
        "token_expires_at": _moment(token.access_expires_at),
        "token_renews_at": _moment(token.refresh_at) if ahead else ON_DEMAND,
        "refresh_token_expires_at": _moment(token.refresh_expires_at),
        "token_last_error": token.last_error,
    }


def _moment(epoch: float | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)

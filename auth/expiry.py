"""How long does a token live? From whatever a provider writes there to seconds, or to None: nobody knows."""

import math
from datetime import UTC, datetime

from auth.unverified_jwt import claims_of

LONGEST = 10 * 365 * 86400.0
"""Seconds. A longer lifetime is a misread number, not a promise."""

MILLISECONDS_FROM = 1e11
"""Epoch seconds reach this in the year 5138, epoch milliseconds did in 1973."""


def number_lifetime(value: object, *, scale: float = 1.0) -> float | None:
    """Seconds from a number or numeric text; None for nothing, garbage, zero, negative or absurd values."""
    number = _number(value)
    return None if number is None else _sane(number * scale)


def instant_lifetime(value: object, now: float) -> float | None:
    """Seconds from `now` until an instant: epoch seconds, epoch milliseconds or ISO 8601 (UTC if zoneless)."""
    instant = _number(value)
    if instant is None:
        instant = _iso_instant(value)
    if instant is None:
        return None
    return _sane((instant / 1000 if instant > MILLISECONDS_FROM else instant) - now)


def jwt_lifetime(token: str, now: float) -> float | None:
    """Seconds until the `exp` of a token that happens to be a JWT (RFC 7519 §4.1.4): a hint, nothing is verified."""
    claims = claims_of(token)
    return instant_lifetime(claims.get("exp"), now) if claims else None


def _sane(seconds: float) -> float | None:
    return seconds if 1 <= seconds <= LONGEST else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _iso_instant(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None

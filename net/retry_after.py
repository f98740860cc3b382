"""How long did the provider ask us to wait? Every form that is in use, as seconds."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_EPOCH_SECONDS = 1e9
"""Larger numbers are instants, not delays: as a delay this is 31 years, as an instant the year 2001."""
_EPOCH_MILLISECONDS = 1e11

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_RESETS = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")
_PARAMETER = re.compile(r"(?:^|[;,\s])(r|t|remaining|reset)=(\d+)")


def retry_after(headers: Iterable[tuple[str, str]], *, now: datetime, limit: float) -> float | None:
    """Seconds to wait, within [0, limit]; None when no header says so, or only in garbage.

    Read in this order: `Retry-After-Ms`, `Retry-After` (RFC 9110 §10.2.3), `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers), `RateLimit-Reset` and its `X-` forms (delay, epoch in s or ms, or a date).
    A reset counts only while nothing remains. Instants are relative to the answer's own `Date`, so that a provider's
    clock may be wrong.
    """
    fields: dict[str, str] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), value.strip())
    base = _date(fields.get("date", "")) or now
    wait = _stated(fields, base.timestamp())
    if wait is None or math.isnan(wait):
        return None
    return min(max(wait, 0.0), limit)


def _stated(fields: Mapping[str, str], base: float) -> float | None:
    milliseconds = fields.get("retry-after-ms", "")
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    wait = _wait(fields.get("retry-after", ""), base)
    if wait is not None:
        return wait
    return _rate_limit(fields, base)


def _rate_limit(fields: Mapping[str, str], base: float) -> float | None:
    parameters: dict[str, str] = dict(_PARAMETER.findall(fields.get("ratelimit", "")))
    delay = parameters.get("t", parameters.get("reset"))
    if delay is not None and parameters.get("r", parameters.get("remaining", "0")).strip("0") == "":
        return float(delay)
    if any(fields.get(name, "0").strip("0.") for name in _REMAINING):
        return None
    waits = (_wait(fields[name], base) for name in _RESETS if name in fields)
    return next((wait for wait in waits if wait is not None), None)


def _wait(value: str, base: float) -> float | None:
    """Seconds from `base` (epoch seconds), from a delay, an epoch or a date."""
    if _NUMBER.fullmatch(value):
        number = float(value)
        if number > _EPOCH_MILLISECONDS and math.isfinite(number):
            return number / 1000 - base
        return number - base if number > _EPOCH_SECONDS else number
    date = _date(value)
    return None if date is None else date.timestamp() - base


def _date(value: str) -> datetime | None:
    if not value or len(value) > 64:
        return None
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = parse(value)
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            date.timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return date
    return None

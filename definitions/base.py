"""The base of everything that can be declared."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema


class Model(BaseModel):
    """Frozen, strict about keys, and silent about rejected values: they may be secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Keys of integrations, names of profiles and adapters."""

_MAX_SECONDS = 10 * 365 * 86400
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")


def _duration(value: Any) -> timedelta:
    seconds = _seconds(value)
    if seconds is None:
        raise ValueError("expected a duration such as 30s, 5m, 24h or 30d")
    if not seconds > 0:
        raise ValueError("must be longer than zero")
    if seconds > _MAX_SECONDS:
        raise ValueError("must be 10 years at most")
    return timedelta(seconds=seconds)


def _seconds(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: value.total_seconds(), return_type=float),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
            ],
            "description": "A duration such as 30s, 5m, 24h or 30d; a bare number is seconds",
        }
    ),
]
"""`90`, `30s`, `5m`, `24h`, `30d`: longer than zero; seconds as a number in JSON."""

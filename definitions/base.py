"""The base of everything that can be declared."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer


class Model(BaseModel):
    """Frozen, strict about keys, and silent about rejected values: they may be secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    if isinstance(value, str):
        raise ValueError("expected a duration such as 30s, 5m, 24h or 30d")
    return value


Duration = Annotated[
    timedelta, BeforeValidator(_duration), PlainSerializer(lambda value: value.total_seconds(), return_type=float)
]
"""`90`, `30s`, `5m`, `24h`, `30d`; seconds as a number in JSON."""

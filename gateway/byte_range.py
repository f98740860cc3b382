"""Which part of a file a request asks for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)


class Unsatisfiable(Exception):
    """There is nothing in the range."""


@dataclass(frozen=True, slots=True)
class Part:
    """`end` is the last byte, as in the header."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


def part_of(header: str | None, size: int) -> Part | None:
    """None: all of it, also for several ranges or a header that makes no sense, which a server may ignore.

    Raises:
        Unsatisfiable: the range lies behind the end.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start > end:
        raise Unsatisfiable
    return Part(start, end)

"""What is wrong with a document, where it stands, and what was probably meant."""

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a value of a document."""


def dotted(path: Path) -> str:
    """`("auth", "place", 0)` as `auth.place[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `place` is a path such as `auth.place[0].value`; `line` counts from 1."""

    thing: str
    place: str
    source: str
    line: int
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        where = f"{self.thing}, {self.place} ({self.source}:{self.line})" if self.place else ""
        hint = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{where or f'{self.thing} ({self.source}:{self.line})'}: {self.message}{hint}"


class DefinitionErrors(Exception):
    """Everything that is wrong with what was loaded, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)

"""What somebody who looks an installation over may find."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something was found."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing is wrong."""
    WRONG = "wrong"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `action` says what to do when it is not as it should be."""

    subject: str
    state: State
    message: str
    action: str | None = None

    @property
    def told(self) -> str:
        """Message and next step in one."""
        return f"{self.message}: {self.action}" if self.action else self.message

"""Who asks for a new token, and when: decisions as values, apart from the code that carries them out."""

import hashlib
from dataclasses import dataclass
from enum import Enum, auto

MARGIN = 60.0
"""Seconds before its expiry from which a token is renewed on demand; a tenth of the lifetime for short-lived ones."""

TRAVEL = 5.0
"""Seconds before its expiry from which a token is not given out at all: it would expire on its way."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, in seconds.

    A lease outlives every request that can be made under it (the first, one more after a lost reply, one by the
    fallback) and the time to store the answer, so that its holder ends first.
    """

    deadline: float = 15.0
    """All requests of one redemption together; a redemption may be made three times under one lease."""
    persist: float = 15.0
    """How long storing the answer is tried while the database is locked or away."""
    wait: float = 25.0
    """How long a caller waits for somebody else's redemption."""
    poll: float = 0.1

    @property
    def lease(self) -> float:
        """How long a claim holds."""
        return 3 * self.deadline + self.persist


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an account's token, at one instant of the database's clock (`now`)."""

    now: float
    version: int = 0
    has_token: bool = False
    issued_at: float | None = None
    expires_at: float | None = None
    leased_until: float = 0.0
    alive: bool = True
    """False once the provider ended the grant."""

    def lasts(self, seconds: float) -> bool:
        """Whether the token is valid for that long, or for ever as far as anybody knows."""
        return self.has_token and (self.expires_at is None or self.expires_at - self.now > self._scaled(seconds))

    def _scaled(self, seconds: float) -> float:
        if self.expires_at is None or self.issued_at is None:
            return seconds
        return min(seconds, (self.expires_at - self.issued_at) * seconds / (10 * MARGIN))


class Step(Enum):
    """What to do next."""

    USE = auto()
    """The stored token is good."""
    REDEEM = auto()
    """Claim the row and get a new one."""
    WAIT = auto()
    """Somebody else is getting one."""
    GIVE_UP = auto()
    """Only a person can help."""


def next_step(standing: Standing, rejected_version: int | None = None) -> Step:
    """Decide for one caller; `rejected_version` is the version that the provider's API just refused."""
    refused = rejected_version is not None and standing.version <= rejected_version
    valid = not refused and standing.lasts(TRAVEL)
    if not refused and standing.lasts(MARGIN):
        return Step.USE
    if not standing.alive:
        return Step.USE if valid else Step.GIVE_UP
    if standing.leased_until > standing.now:
        return Step.USE if valid else Step.WAIT
    return Step.REDEEM


def spread(account_id: str) -> float:
    """A stable hash of the account in [0, 1)."""
    return int.from_bytes(hashlib.sha256(account_id.encode()).digest()[:6], "big") / 2**48

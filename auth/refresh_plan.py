"""Who asks for a new token, and when: decisions as values, apart from the code that carries them out."""

import hashlib
from dataclasses import dataclass
from enum import Enum, auto

from auth.token_error import ErrorClass

MARGIN = 60.0
"""Seconds before its expiry from which a token is renewed on demand; a tenth of the lifetime for short-lived ones."""

SHORTEST_AHEAD = 300.0
"""Seconds. Tokens that live shorter are renewed on demand only."""

DAY = 86400.0

WARN_AHEAD = (7 * DAY, DAY)
"""Before a refresh token ends."""

REFUSALS = 10
"""Refusals in unknown words, in a row, over a day at least, after which the next is held for the end of the grant."""
FAILURES_TO_SHUT = 5
"""Transient failures of a token endpoint's host, in a row, after which the sweep leaves it alone for a while."""

CLIENT_STOP = 3600.0
"""Seconds for which the sweep leaves the accounts of a refused OAuth client alone."""

TRAVEL = 5.0
"""Seconds before its expiry from which a token is not given out at all: it would expire on its way."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, in seconds.

    A lease is prolonged while its holder lives (`auth.lease`), for no longer than `longest`: every request that can be
    made under it (the first, one more after a lost reply, one by the fallback) and the time to store the answer.
    Providers that forgive a refresh token spent twice do so for half a minute as a rule: until then whoever takes over
    from a killed holder must have asked.
    """

    deadline: float = 15.0
    """All requests of one redemption together; a redemption may be made three times under one lease."""
    persist: float = 15.0
    """How long storing the answer is tried while the database is locked or away."""
    wait: float = 25.0
    """How long a caller waits for somebody else's redemption."""
    poll: float = 0.1
    lease: float = 9.0
    """How long a claim holds without being prolonged."""
    pulse: float = 3.0
    """How often its holder prolongs it."""
    watch: float = 4.0
    """How long a claim that ran out is watched before it is taken over: whoever lives prolongs it, or stores what came,
    meanwhile. Longer than `pulse`, so that a database's clock that steps forward ends nobody's claim."""

    @property
    def longest(self) -> float:
        """How long everything that is done under one claim may take."""
        return 3 * self.deadline + self.persist

    @property
    def bound(self) -> float:
        """When a redemption is given up whatever holds it."""
        return self.longest + self.persist


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
    refresh_at: float | None = None
    """When it is to be renewed ahead; None: on demand only."""
    refused_until: float = 0.0
    """Until then nobody asks again by itself: the client or the request was refused, and nothing was changed since."""

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


def next_step(standing: Standing, rejected_version: int | None = None, *, anew: bool = False) -> Step:
    """Decide for one caller; `rejected_version` is the version that the provider's API just refused.

    `anew`: a person asks, who may have put things right where nobody here can see it.
    """
    valid = still_valid(standing, rejected_version)
    refused = standing.refused_until > standing.now
    if valid and standing.lasts(MARGIN) and not (anew and refused):
        return Step.USE
    if not standing.alive:
        return Step.USE if valid else Step.GIVE_UP
    if standing.leased_until > standing.now:
        return Step.USE if valid else Step.WAIT
    if refused and not anew:
        return Step.USE if valid else Step.GIVE_UP
    return Step.REDEEM


def still_valid(standing: Standing, rejected_version: int | None = None) -> bool:
    """Whether the stored token can be given out at all, though it may be time to renew it."""
    refused = rejected_version is not None and standing.version <= rejected_version
    return not refused and standing.lasts(TRAVEL)


class Ahead(Enum):
    """What became of an account whose token seemed due."""

    NOT_DUE = auto()
    """Somebody else renewed it, or is doing so."""
    PLACED = auto()
    """It is asked for at another host, or as another client, than was thought."""
    RENEWED = auto()
    ENDED = auto()
    """Its access token has ended, and there is no refresh token to renew it with."""
    NEVER = auto()
    """It has no token that is renewed."""


def is_due(standing: Standing) -> bool:
    """Whether it is time to renew a token though it may still be good, and nobody does so already."""
    waiting = standing.refresh_at is not None and standing.refresh_at <= standing.now
    return standing.alive and waiting and standing.leased_until <= standing.now


def due_at(
    account_id: str,
    issued_at: float,
    expires_at: float | None,
    refresh_expires_at: float | None,
    keep_alive: float | None = None,
) -> float | None:
    """When to renew ahead: after 70 to 85 % of the time that is left to the token or to its refresh token.

    The share is a stable hash of the account, so that a bulk import does not renew at once. None: on demand only.
    `keep_alive`: seconds for which the refresh token may lie idle.
    """
    left = [instant - issued_at for instant in (expires_at, refresh_expires_at) if instant is not None]
    lifetime = min((seconds for seconds in (*left, keep_alive or 0.0) if seconds >= SHORTEST_AHEAD), default=None)
    return None if lifetime is None else issued_at + lifetime * (0.70 + 0.15 * spread(account_id))


def kept_alive(keep_alive: float | None, expires_at: float | None, *, refreshable: bool) -> float | None:
    """Seconds for which a refresh token may lie idle: as the definition says; a day when no expiry brings it to use."""
    if not refreshable:
        return None
    return DAY if keep_alive is None and expires_at is None else keep_alive


def on_demand_only(issued_at: float | None, expires_at: float | None, due: float | None) -> bool:
    """Whether a token is known to live too short for being renewed ahead, and nothing else asks for it (`due`)."""
    if due is not None or issued_at is None or expires_at is None:
        return False
    return 0 < expires_at - issued_at < SHORTEST_AHEAD


def warn_at(issued_at: float, refresh_expires_at: float | None) -> float | None:
    """When to warn that a refresh token ends: a week ahead, else a day; None when it lives shorter than that anyway.

    A refresh token that is prolonged with every use moves this instant away each time; one with a fixed end does not.
    """
    if refresh_expires_at is None:
        return None
    return next((at for ahead in WARN_AHEAD if (at := refresh_expires_at - ahead) > issued_at), None)


def refused_for_good(refused_since: float | None, refusals: int, now: float) -> bool:
    """Whether words that nobody knows have refused an account for so long that it is no incident of the provider's."""
    return refused_since is not None and refusals >= REFUSALS and now - refused_since >= DAY


def shut_for(failures: int) -> float | None:
    """Seconds for which the sweep leaves a host alone after so many failures in a row; None: not yet."""
    if failures < FAILURES_TO_SHUT:
        return None
    return float(min(30 * 2 ** min(failures - FAILURES_TO_SHUT, 10), 600))


def spread(account_id: str) -> float:
    """A stable hash of the account in [0, 1)."""
    return int.from_bytes(hashlib.sha256(account_id.encode()).digest()[:6], "big") / 2**48


def again_in(class_: ErrorClass, failures: int, retry_after: float | None) -> float:
    """Seconds after which a failed renewal is due again, `failures` having gone before."""
    if retry_after is not None:
        return max(retry_after, 1.0)
    return float(min(30 * 2 ** min(failures, 7), 3600)) if class_ is ErrorClass.TRANSIENT else 3600.0

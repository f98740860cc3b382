"""What each side wrote down: the other side's servers, the killer, the database afterwards. Instants are monotonic."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["read", "keyed", "unsafe"]


@dataclass(slots=True)
class Redemption:
    """One refresh token that reached the token endpoint."""

    account: str
    spent: int
    """The number of the refresh token among all that were issued."""
    caller: int | None
    """The process; None: it had ended before anybody could look."""
    arrived: float
    accepted: bool = False
    left: float | None = None
    """When the answer was given to the network."""


@dataclass(slots=True)
class Asked:
    """One request to the API that was let in."""

    order: str
    account: str
    """Whom the access token belongs to."""
    kind: Kind
    caller: int | None
    arrived: float
    performed: bool = False
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that was killed, or stopped until `until`."""

    caller: int
    at: float
    until: float | None = None

    def cuts(self, caller: int | None, begun: float, ended: float) -> bool:
        """Whether this befell the caller in between; of one that was killed a request may arrive later."""
        return caller == self.caller and self.at <= ended and (self.until is None or begun <= self.until)


@dataclass(slots=True)
class Ledger:
    """Of one soak."""

    redemptions: list[Redemption] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    refused_tokens: int = 0
    """Calls that the API answered with 401."""
    gave_up: int = 0
    """Workers that ended before they were ready, and were started again."""


@dataclass(frozen=True, slots=True)
class Order:
    """A run that the front door took."""

    id: str
    account: str
    kind: Kind
    run_id: str


@dataclass(frozen=True, slots=True)
class End:
    """How an order's run stands afterwards: `done`, `failed`, `under_way`, or what it waits for, and why."""

    order: Order
    state: str
    category: str = ""


@dataclass(frozen=True, slots=True)
class AccountEnd:
    """An account afterwards, by the database and by what the server does with the stored refresh token."""

    name: str
    state: str
    cause: str | None
    stored: int | None
    """The number of the stored refresh token."""
    honoured: bool
    family_revoked: bool


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a verdict rests on."""

    ledger: Ledger
    ends: list[End]
    """After dead accounts were connected again."""
    accounts: list[AccountEnd]
    """Dead ones as they were before that."""
    again: list[AccountEnd]
    """The same ones after it."""
    waited: int
    """How many runs waited for them."""
    grace: float

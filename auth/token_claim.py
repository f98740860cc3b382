"""What is seen of an account's token, and the right to redeem that may follow from it."""

from dataclasses import dataclass, field

from auth.refresh_plan import Standing
from auth.refusal import is_lasting
from auth.token_record import StoredToken
from storage.tokens import ACTIVE, TokenRow


@dataclass(frozen=True, slots=True)
class Seen:
    """The row, and the token if it was asked for with what is in force now."""

    row: TokenRow
    token: StoredToken | None
    basis: str = field(repr=False)
    changed: bool = False
    """Whether something else was refused than what would be asked with now."""

    @property
    def standing(self) -> Standing:
        """As the plan needs it."""
        row = self.row
        return Standing(
            now=row.now,
            version=row.version,
            has_token=self.token is not None and bool(self.token.token),
            issued_at=row.issued_at,
            expires_at=row.access_expires_at,
            leased_until=row.lease_until,
            alive=row.state == ACTIVE or self.changed,
            refresh_at=row.refresh_at,
            refused_until=(row.refresh_at or 0.0) if is_lasting(row.last_error) and not self.changed else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to redeem, and what was there when it was won."""

    fence: int
    owner: str
    host: str
    """Of the first request: nobody wanted it left alone when this was won."""
    seen: Seen


@dataclass(frozen=True, slots=True)
class HostBlocked:
    """The token endpoint's host wants to be left alone, for so many seconds."""

    seconds: float

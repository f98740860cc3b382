"""What people are told without having asked: once for each account and cause, however many runs meet it."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from definitions.base import Model


class NotificationKind(StrEnum):
    """What happened."""

    NEEDS_RECONNECT = "needs_reconnect"
    """A grant is dead; runs that need it wait."""
    RECONNECTED = "reconnected"
    """The account is well again, and the runs that waited for it were resumed."""
    CLIENT_REFUSED = "client_refused"
    """A provider refuses an OAuth client; all its accounts are left alone until its secret is corrected."""
    REFRESH_TOKEN_ENDS = "refresh_token_ends"
    """An account must be connected again before its refresh token ends."""
    TOKEN_SET_ASIDE = "token_set_aside"
    """A refresh token came so late that another one was in force; which of the two the provider honours, is open."""
    TEST = "test"
    """Somebody tries whether notifications arrive."""


class Notification(Model):
    """One of them, safe to send anywhere: no secret, no request data. Told at least once; `id` tells repeats apart."""

    id: str = Field(
        pattern=r"^[!-\-/-~]{1,200}$",
        description="Printable ASCII without spaces or full stops, since it travels in headers and under signatures",
    )
    kind: NotificationKind
    account: str | None = Field(default=None, description="Name of the account, where it is about one")
    integration: str | None = None
    cause: str | None = Field(default=None, description="Machine-readable, as in `invalid_grant`")
    message: str = Field(description="One sentence for people")
    next_step: str | None = Field(default=None, description="What a person should do, with the command for it")
    runs_resumed: int | None = Field(default=None, description="With `reconnected`")
    happened_at: AwareDatetime

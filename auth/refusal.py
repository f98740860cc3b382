"""Why a redemption brought no token: as a value, as the row keeps it, and as callers are told."""

from dataclasses import dataclass, field

from auth.credential import OpenAccount
from auth.errors import ClientRefused, CredentialError, HostClosed, Misconfigured, NeedsReconnect, TokenUnavailable
from auth.token_error import ErrorClass, TokenReplyError
from net.errors import NetError, Sent
from net.redaction import LIVE_SECRETS
from storage.accounts import NOT_CONNECTED

STORED_LENGTH = 64
HOST_BLOCKING = frozenset({429, 503})
HOST_BLOCKED = "host_blocked"
"""A later host of a chain of requests wants to be left alone: no failure of the first one, which the sweep counts."""
LOST_REPLY = "lost_reply"
NO_REFRESH_TOKEN = "no_refresh_token"  # noqa: S105 - the name of a cause

_NET_CONFIGURATION = frozenset({"egress_denied", "invalid_request", "redirect_refused", "too_many_redirects"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """One failed redemption. `detail` is safe to show once it is scrubbed."""

    class_: ErrorClass
    code: str
    detail: str | None = None
    retry_after: float | None = None
    host_wait: float | None = None
    """Seconds for which every account should leave this token endpoint's host alone."""
    in_doubt: bool = False
    """Whether the provider may have performed it: then the answer that got lost may hold the only valid token."""
    unknown: bool = False
    """Whether it was refused with a word that nobody knows: in the long run that is for good."""
    refresh_token: str | None = field(default=None, repr=False)

    @property
    def stored(self) -> str:
        """As a row keeps it."""
        return f"{self.class_.value}:{self.code}"[:STORED_LENGTH]


def from_stored(text: str) -> Refusal:
    """The inverse of `Refusal.stored`, without the details."""
    class_, _, code = text.partition(":")
    known = class_ in ErrorClass.__members__.values()
    return Refusal(ErrorClass(class_) if known else ErrorClass.TRANSIENT, code or text)


def is_lasting(stored: str | None) -> bool:
    """Whether asking again with the same secrets and definition brings the same, whoever asks.

    What our own egress policy denies is no request to anybody, and is allowed by a setting.
    """
    refusal = from_stored(stored or "")
    return refusal.class_ in (ErrorClass.PERMANENT_CLIENT, ErrorClass.CONFIGURATION) and refusal.code != "egress_denied"


def of_reply(error: TokenReplyError) -> Refusal:
    """What an answer without a token means."""
    wait = error.retry_after if error.status in HOST_BLOCKING else None
    return Refusal(
        error.class_,
        error.code,
        detail=error.description,
        retry_after=error.retry_after,
        host_wait=None if wait is None else max(wait, 1.0),
        in_doubt=error.in_doubt and error.refresh_token is None,
        unknown=error.unknown,
        refresh_token=error.refresh_token,
    )


def of_net_error(error: NetError) -> Refusal:
    """What a request without an answer means."""
    class_ = ErrorClass.CONFIGURATION if error.code in _NET_CONFIGURATION else ErrorClass.TRANSIENT
    return Refusal(class_, error.code, detail=str(error), in_doubt=error.sent is not Sent.NO)


def of_unbuildable(error: Exception) -> Refusal:
    """A token request that could not be put together; nothing was sent."""
    fault = "a value holds half a character" if isinstance(error, UnicodeError) else str(error)
    return Refusal(ErrorClass.CONFIGURATION, "unbuildable_request", detail=fault)


def credential_error(refusal: Refusal, opened: OpenAccount) -> CredentialError:
    """How callers are told, with the next step."""
    account, integration = opened.account.name, opened.integration.key
    detail = f": {LIVE_SECRETS.scrub(refusal.detail)}" if refusal.detail else ""
    code = f"({refusal.code}){detail}"
    match refusal.class_:
        case ErrorClass.TRANSIENT:
            kind = HostClosed if refusal.code == HOST_BLOCKED else TokenUnavailable
            return kind(
                f"account {account!r}: its token endpoint gave no token {code}",
                action="nothing: it is asked again after a wait",
                account=account,
                retry_after=refusal.retry_after,
            )
        case ErrorClass.PERMANENT_GRANT:
            return needs_reconnect(refusal.code, opened, detail)
        case ErrorClass.PERMANENT_CLIENT:
            return ClientRefused(
                f"account {account!r}: the provider refused the OAuth client {code}",
                action=f"save the right client_id and client_secret: tieline accounts set-secrets {account}",
                account=account,
            )
        case ErrorClass.CONFIGURATION:
            return Misconfigured(
                f"account {account!r}: the token request of integration {integration!r} cannot work {code}",
                action=_advice_on_configuration(refusal, integration),
                account=account,
            )


def needs_reconnect(cause: str, opened: OpenAccount, detail: str = "") -> NeedsReconnect:
    """The account's grant is dead; who must do what depends on how it was got."""
    account = opened.account.name
    told = _CAUSES.get(cause, f"the provider no longer accepts its grant ({cause})")
    return NeedsReconnect(
        f"account {account!r}: {told}{detail}",
        action=f"connect it{' again' if cause != NOT_CONNECTED else ''}: tieline accounts connect {account}"
        if opened.integration.by_consent
        else f"save its secrets again: tieline accounts set-secrets {account}",
        account=account,
    )


_CAUSES = {
    NOT_CONNECTED: "nobody has connected it yet",
    NO_REFRESH_TOKEN: "its access token has ended, and the provider gave no refresh token to renew it with",
}


def _advice_on_configuration(refusal: Refusal, integration: str) -> str:
    if refusal.code == "egress_denied":
        return "allow the token endpoint's address with TIELINE_EGRESS_ALLOW=HOST:PORT if it is meant"
    return f"correct auth of integration {integration!r} and apply it again: tieline apply PATH"

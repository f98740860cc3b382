"""Why an account was not connected, as the person in front of the browser is told, and what to do."""

from enum import StrEnum

from auth.callback import Callback
from auth.errors import AuthError
from auth.refusal import Refusal
from net.redaction import LIVE_SECRETS


class Fault(StrEnum):
    """What went wrong; stable, for programs."""

    NOT_BY_CONSENT = "not_by_consent"
    UNKNOWN_LINK = "unknown_link"
    UNKNOWN_STATE = "unknown_state"
    FOREIGN_BROWSER = "foreign_browser"
    BAD_CALLBACK = "bad_callback"
    DENIED = "denied"
    PROVIDER = "provider"
    EXCHANGE = "exchange"
    UNIDENTIFIED = "unidentified"
    OTHER_ACCOUNT = "other_account"
    BUSY = "busy"


_TEXTS = {
    Fault.NOT_BY_CONSENT: ("it is not connected by consent: its secrets are all it needs", "tieline accounts test"),
    Fault.UNKNOWN_LINK: ("this link is unknown, was used, or is too old", "make a new one"),
    Fault.UNKNOWN_STATE: (
        "this answer was used before, is too old, or was never asked for; nothing was done with it",
        "follow the link again, or make a new one",
    ),
    Fault.FOREIGN_BROWSER: (
        "this answer belongs to another browser than this one; nothing was done with it",
        "follow the link and consent in one browser, which must allow cookies",
    ),
    Fault.BAD_CALLBACK: ("the provider's answer cannot be trusted; nothing was done with it", "make a new link"),
    Fault.DENIED: ("the consent was refused at the provider; the account is as it was", "make a new link"),
    Fault.PROVIDER: ("the provider could not be asked", "correct the integration, or try again"),
    Fault.EXCHANGE: ("the provider gave no token for the consent; the account is as it was", "make a new link"),
    Fault.UNIDENTIFIED: (
        "it could not be found out whose account at the provider this is; the account here is as it was",
        "correct after_connect or identity of the integration, and make a new link",
    ),
    Fault.OTHER_ACCOUNT: (
        "somebody consented as another account of the provider than before; the account here is as it was",
        "sign out at the provider first, or say that it is meant with --replace",
    ),
    Fault.BUSY: ("the account cannot be connected right now", "try again in a minute"),
}


class ConnectError(AuthError):
    """Nothing was connected. The text holds nothing that somebody could use; `told` adds the next step."""

    def __init__(self, fault: Fault, message: str, action: str, account: str | None) -> None:
        super().__init__(message)
        self.fault = fault
        self.action = action
        self.account = account

    @property
    def told(self) -> str:
        """What happened, and what to do."""
        return f"{self}. Next step: {self.action}"


def refused(
    fault: Fault, account: str | None = None, refusal: Refusal | None = None, *, detail: str | None = None
) -> ConnectError:
    """The error of a fault; the details are scrubbed."""
    told, action = _TEXTS[fault]
    if refusal is not None:
        detail = f"{refusal.code}: {refusal.detail}" if refusal.detail else refusal.code
    who = f"account {account!r}: " if account else ""
    what = f" ({LIVE_SECRETS.scrub(detail)})" if detail else ""
    if refusal is not None and refusal.code == "egress_denied":
        told = "Tieline's own rules keep it from reaching the provider; the account is as it was"
        action = f"allow the address by TIELINE_EGRESS_ALLOW if it is meant, then tieline accounts connect {account}"
    elif account and action.startswith("make a new"):
        action = f"tieline accounts connect {account}"
    elif account and fault is Fault.NOT_BY_CONSENT:
        action = f"{action} {account}"
    elif account and fault is Fault.OTHER_ACCOUNT:
        action = f"sign out at the provider first, or, if it is meant: tieline accounts connect {account} --replace"
    return ConnectError(fault, f"{who}{told}{what}", action, account)


def unfinished(account: str) -> str:
    """What is told when the process that took a consent's code was never heard of again."""
    return (
        f"account {account!r}: the consent came, and the process that took it ended before the provider gave a token; "
        f"the account is as it was. Next step: tieline accounts connect {account}"
    )


def nobody_came(account: str) -> str:
    """What is told when an attempt has expired."""
    return f"account {account}: nobody consented in time. Next step: tieline accounts connect {account}"


_KNOWN = {
    "access_denied",
    "consent_required",
    "interaction_required",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_response_type",
}


def refused_by_person(account: str, callback: Callback) -> ConnectError:
    """The error that came in place of a code: the known ones by name, of others only that they came."""
    code = callback.error if callback.error in _KNOWN else "an unknown error"
    if code == "access_denied":
        return refused(Fault.DENIED, account)
    return refused(Fault.PROVIDER, account, detail=code)

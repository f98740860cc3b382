"""Why there is no token right now, where no endpoint said so: told to callers with the next step."""

from auth.credential import OpenAccount
from auth.errors import CredentialError, HostClosed, Misconfigured, TokenUnavailable, Undiscovered
from auth.refusal import Refusal, credential_error
from net.redaction import LIVE_SECRETS
from storage.errors import DatabaseUnavailable
from storage.tokens import TokenRow


def undiscovered(refusal: Refusal, opened: OpenAccount) -> CredentialError:
    """The issuer did not say where to ask."""
    error = credential_error(refusal, opened)
    if not isinstance(error, TokenUnavailable):
        return error
    message = (
        f"account {opened.account.name!r}: its issuer's metadata could not be had ({refusal.detail or refusal.code})"
    )
    return Undiscovered(
        LIVE_SECRETS.scrub(message),
        action=error.action,
        account=error.account,
        retry_after=error.retry_after,
    )


def blocked(opened: OpenAccount, host: str, seconds: float) -> HostClosed:
    """Somebody was told to leave the host alone."""
    return HostClosed(
        f"account {opened.account.name!r}: the token endpoint at {host} asked not to be called for a while",
        action="nothing: it is asked again when it allows it",
        account=opened.account.name,
        retry_after=seconds,
    )


def still_waiting(opened: OpenAccount, row: TokenRow) -> TokenUnavailable:
    """Somebody else redeems, and it lasts."""
    return TokenUnavailable(
        f"account {opened.account.name!r}: its token is being renewed and that takes long",
        action="nothing: it is asked again after a wait",
        account=opened.account.name,
        retry_after=max(row.lease_until - row.now, 0.0) or None,
    )


def stuck(opened: OpenAccount) -> TokenUnavailable:
    """A redemption that hung."""
    return TokenUnavailable(
        f"account {opened.account.name!r}: its token could not be stored in time",
        action="see that the database answers: tieline doctor",
        account=opened.account.name,
    )


def changing(opened: OpenAccount) -> TokenUnavailable:
    """Somebody changes the account as fast as it is asked for."""
    return TokenUnavailable(
        f"account {opened.account.name!r}: it was changed while its token was asked for",
        action="nothing: it is asked again with what was changed",
        account=opened.account.name,
    )


def store_away(opened: OpenAccount, error: DatabaseUnavailable) -> TokenUnavailable:
    """The database does not answer."""
    return TokenUnavailable(
        f"account {opened.account.name!r}: {error}",
        action="bring the database back: tieline doctor",
        account=opened.account.name,
    )


def no_source(opened: OpenAccount) -> Misconfigured:
    """Nothing gets tokens in the way that is declared."""
    integration = opened.integration
    return Misconfigured(
        f"integration {integration.key!r}: nothing here gets tokens for its auth ({integration.auth.type}) yet",
        action="use another grant: tieline integrations show " + integration.key,
        account=opened.account.name,
    )

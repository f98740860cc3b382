"""An account dies, and is well again: its state, the people who are told, and the runs that wait, in one transaction.

The caller holds the lock of the account's token, as whoever registers a waiting run does: so a run either sees that
the account is alive, or is woken.
"""

import uuid
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.credential import OpenAccount
from auth.errors import ClientRefused, NeedsReconnect
from auth.refresh_plan import CLIENT_STOP
from definitions.notification import Notification, NotificationKind
from storage.accounts import (
    ACTIVE,
    DISCONNECTED,
    NEEDS_RECONNECT,
    Account,
    account_by_id,
    set_account_state,
    set_told_cause,
)
from storage.outbox import NOTIFICATION, new_row, post
from storage.token_hosts import stop_client
from storage.tokens import TokenRow
from storage.waiters import wake_for_account


async def died(connection: AsyncConnection, opened: OpenAccount, cause: str, told: NeedsReconnect, now: float) -> None:
    """Only a person can help this account; of each cause, people are told once until it is well."""
    await set_account_state(connection, opened.account.id, NEEDS_RECONNECT, cause)
    if await set_told_cause(connection, opened.account.id, cause[:64]):
        kind = NotificationKind.NEEDS_RECONNECT
        await _tell(connection, kind, opened.account, str(told), now, cause=cause, next_step=told.action)


async def well_again(connection: AsyncConnection, account_id: str, now: float) -> None:
    """A token came in force: whoever waited for one is woken, and who was told of the death is told of this, too."""
    account = await account_by_id(connection, account_id)
    if account is None or account.state == DISCONNECTED:  # a late answer does not undo what somebody wanted
        return
    notification = uuid.uuid4().hex
    told = await set_told_cause(connection, account_id, None)
    await wake_for_account(connection, account_id, "the account works again", notification if told else None)
    if account.state != ACTIVE:
        await set_account_state(connection, account_id, ACTIVE, None)
    if told:
        message = f"account {account.name!r} works again"
        await _tell(connection, NotificationKind.RECONNECTED, account, message, now, id_=notification)


async def client_refused(
    connection: AsyncConnection, opened: OpenAccount, row: TokenRow, cause: str, told: ClientRefused
) -> None:
    """An OAuth client is refused, whose accounts are all left alone from now on: no news about each of them."""
    if row.token_client is None or row.token_host is None:
        return
    if await stop_client(connection, row.token_client, row.token_host, cause, CLIENT_STOP):
        message = (
            f"the token endpoint at {row.token_host} refuses an OAuth client, whose accounts are all left alone: {told}"
        )
        kind = NotificationKind.CLIENT_REFUSED
        await _tell(connection, kind, opened.account, message, row.now, cause=cause, next_step=told.action)


async def token_set_aside(connection: AsyncConnection, account: Account, now: float) -> None:
    """A token came too late: another is in force, which the provider may have ended by giving out this one."""
    await _tell(
        connection,
        NotificationKind.TOKEN_SET_ASIDE,
        account,
        f"account {account.name!r}: a refresh token came when another was in force already, and was set aside",
        now,
        next_step=f"see that the account still works: tieline accounts refresh {account.name}",
    )


async def refresh_token_ends(connection: AsyncConnection, account: Account, ends: float) -> None:
    """Somebody must connect an account again before this instant."""
    until = f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC"
    await _tell(
        connection,
        NotificationKind.REFRESH_TOKEN_ENDS,
        account,
        f"account {account.name!r}: its refresh token ends on {until}",
        datetime.now(UTC).timestamp(),
        next_step=f"connect it again before: tieline accounts connect {account.name}",
    )


async def _tell(
    connection: AsyncConnection,
    kind: NotificationKind,
    account: Account,
    message: str,
    now: float,
    *,
    id_: str | None = None,
    cause: str | None = None,
    next_step: str | None = None,
) -> None:
    """Have it sent when the transaction is committed."""
    notification = Notification(
        id=id_ or uuid.uuid4().hex,
        kind=kind,
        account=account.name,
        integration=account.integration,
        cause=cause,
        message=message,
        next_step=next_step,
        happened_at=datetime.fromtimestamp(now, UTC),
    )
    await post(connection, [new_row(notification.id, NOTIFICATION, notification.model_dump_json())])

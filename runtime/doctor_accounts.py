"""What the doctor finds about accounts: which of them nobody can use, and how many runs wait for each."""

from collections.abc import AsyncIterator, Sequence

from definitions.auth import SftpAuth
from definitions.auth.simple import HostKeyPolicy
from definitions.run import RunState
from runtime.findings import Finding, State
from runtime.run_filter import RunFilter
from runtime.runs import Runs
from runtime.stores import Stores
from storage.accounts import ACTIVE, DISCONNECTED, NEEDS_RECONNECT, NOT_CONNECTED, Account
from storage.errors import NotFound
from storage.waiters import awaited

HOST_KEY_CAUSES = ("host_key_changed", "host_key_unknown")
LISTED = "tieline runs list --state waiting_for_reconnect"
SHOWN = 20
"""Accounts that are named; of more, how many."""


async def account_findings(stores: Stores) -> AsyncIterator[Finding]:
    """Each account that does not work, and what profiles bind that is not there."""
    accounts = await stores.accounts.list()
    dead = [account for account in accounts if account.state == NEEDS_RECONNECT]
    for account in dead[:SHOWN]:
        cause = f" ({account.cause})" if account.cause else ""
        told = f"{account.state.replace('_', ' ')}{cause}"
        yield Finding(f"account {account.name}", State.WRONG, told, await _remedy(stores, account))
    if len(dead) > SHOWN:
        yield Finding("accounts", State.WRONG, f"{len(dead) - SHOWN} more need a reconnect", "tieline accounts list")
    for state in (NOT_CONNECTED, DISCONNECTED):  # somebody's wish, not a fault
        if count := sum(account.state == state for account in accounts):
            told = f"{count} {'is' if count == 1 else 'are'} {state.replace('_', ' ')}"
            yield Finding("accounts", State.NOTE, told, "tieline accounts list")
    if not dead:
        yield Finding("accounts", State.OK, f"{len(accounts)}, none needs attention")
    async for finding in _unchecked(stores, accounts):
        yield finding
    for profile in [await stores.definitions.profile(name) for name in await stores.definitions.list("profile")]:
        bound = {binding.account for binding in profile.adapters.values() if binding.account}
        if absent := sorted(bound - {account.name for account in accounts}):
            told = f"{profile.name} binds accounts that do not exist yet: {', '.join(absent)}"
            yield Finding("profile", State.NOTE, told, f"tieline accounts create {absent[0]} --integration KEY")


async def _unchecked(stores: Stores, accounts: Sequence[Account]) -> AsyncIterator[Finding]:
    """SFTP accounts whose server may be anybody."""
    for key in await stores.definitions.list("integration"):
        auth = (await stores.definitions.integration(key)).auth
        names = [account.name for account in accounts if account.integration == key]
        if isinstance(auth, SftpAuth) and auth.host_key is HostKeyPolicy.INSECURE and names:
            allowed = "" if stores.settings.sftp_insecure else ", so their runs fail: TIELINE_SFTP_INSECURE is not set"
            told = f"integration {key} looks at no host key (accounts {', '.join(names)}){allowed}"
            trust = f"tieline accounts trust-host-key {names[0]} SHA256:… --why TEXT"
            yield Finding("sftp", State.NOTE, told, f"give it auth.host_key: confirm_first, then for each: {trust}")


async def parked_findings(stores: Stores, runs: Runs) -> AsyncIterator[Finding]:
    """How many runs wait for which account."""
    told = 0
    total = await runs.count(RunFilter(state=RunState.WAITING_FOR_RECONNECT))
    async with stores.database.read() as connection:
        waited_for = set(await awaited(connection)) if total else set[str]()
    for account in [each for each in await stores.accounts.list() if each.id in waited_for][:SHOWN]:
        if count := await runs.count(RunFilter(state=RunState.WAITING_FOR_RECONNECT, account=account.name)):
            told += count
            what = f"{count} wait for account {account.name}" if count > 1 else f"1 waits for account {account.name}"
            if account.state == ACTIVE:
                yield Finding("runs", State.NOTE, f"{what}, which is tried every few seconds", LISTED)
            else:
                yield Finding("runs", State.WRONG, what, await _remedy(stores, account))
    if total > told:
        what = f"{total - told} more wait for an account, or are about to be woken"
        yield Finding("runs", State.NOTE, what, LISTED)
    if not total:
        yield Finding("runs", State.OK, "none waits for an account")


async def _remedy(stores: Stores, account: Account) -> str:
    try:
        if account.cause in HOST_KEY_CAUSES:
            looked = f"tieline accounts host-keys {account.name} --look, and ask whoever runs the server"
            return f"{looked}; then tieline accounts trust-host-key {account.name} KEY --why TEXT: runs that wait go on"
        by_consent = (await stores.definitions.integration(account.integration)).by_consent
    except NotFound:
        return f"apply integration {account.integration!r} again: tieline apply PATH"
    return f"tieline accounts {'connect' if by_consent else 'set-secrets'} {account.name}"

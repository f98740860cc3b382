"""What the doctor finds about accounts: which of them nobody can use, and how many runs wait for each."""

from collections.abc import AsyncIterator

from definitions.run import RunState
from runtime.findings import Finding, State
from runtime.runs import RunFilter, Runs
from runtime.stores import Stores
from storage.accounts import ACTIVE, Account
from storage.errors import NotFound


async def account_findings(stores: Stores) -> AsyncIterator[Finding]:
    """Each account that does not work, and what profiles bind that is not there."""
    accounts = await stores.accounts.list()
    for account in accounts:
        if account.state != ACTIVE:
            cause = f" ({account.cause})" if account.cause else ""
            told = f"{account.state.replace('_', ' ')}{cause}"
            yield Finding(f"account {account.name}", State.WRONG, told, await _remedy(stores, account))
    if all(account.state == ACTIVE for account in accounts):
        yield Finding("accounts", State.OK, f"{len(accounts)}, none needs attention")
    for profile in [await stores.definitions.profile(name) for name in await stores.definitions.list("profile")]:
        bound = {binding.account for binding in profile.adapters.values() if binding.account}
        if absent := sorted(bound - {account.name for account in accounts}):
            told = f"{profile.name} binds accounts that do not exist yet: {', '.join(absent)}"
            yield Finding("profile", State.NOTE, told, f"tieline accounts create {absent[0]} --integration KEY")


async def parked_findings(stores: Stores, runs: Runs) -> AsyncIterator[Finding]:
    """How many runs wait for which account."""
    waiting = 0
    total = await runs.count(RunFilter(state=RunState.WAITING_FOR_RECONNECT))
    for account in await stores.accounts.list():
        if account.state == ACTIVE:
            continue
        which = RunFilter(state=RunState.WAITING_FOR_RECONNECT, account=account.name)
        if count := await runs.count(which):
            waiting += count
            told = f"{count} wait for account {account.name}" if count > 1 else f"1 waits for account {account.name}"
            yield Finding("runs", State.WRONG, told, await _remedy(stores, account))
    if total > waiting:
        told = f"{total - waiting} wait for an account whose OAuth client is refused, or are about to be woken"
        yield Finding("runs", State.NOTE, told, "tieline runs list --state waiting_for_reconnect")
    if not total:
        yield Finding("runs", State.OK, "none waits for an account")


async def _remedy(stores: Stores, account: Account) -> str:
    try:
        by_consent = (await stores.definitions.integration(account.integration)).by_consent
    except NotFound:
        return f"apply integration {account.integration!r} again: tieline apply PATH"
    return f"tieline accounts {'connect' if by_consent else 'set-secrets'} {account.name}"

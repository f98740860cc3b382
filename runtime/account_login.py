"""Does an SFTP account work? A login and a look at its root folder, made through the same path as every run's."""

import uuid
from datetime import timedelta

from activities.sftp import SftpActivities
from definitions.refs import CredentialRef
from definitions.run import Failure, SftpCall, idempotency_key
from definitions.sftp import SftpResult, SftpStat
from runtime.assembly import Stores, open_resolver
from runtime.by_account import ByAccount
from runtime.egress import egress_policy
from runtime.sftp import open_connections

PATIENCE = timedelta(seconds=60)


async def log_in(stores: Stores, account: str) -> SftpResult:
    """Look at the root folder as this account.

    Raises:
        CallFailed: its failure says why and what to do.
    """
    call = SftpCall(
        operation=SftpStat(type="sftp.stat", path=".", timeout=PATIENCE),
        credential=CredentialRef(adapter=account, profile="test"),
        idempotency_key=idempotency_key(f"test/{uuid.uuid4()}"),
    )
    policy = await egress_policy(stores.settings)
    async with open_resolver(stores) as (resolver, _), open_connections(stores.settings, policy) as connections:
        return await SftpActivities(ByAccount(resolver), resolver, connections, stores.assets).make(call)


def next_step(account: str, failure: Failure) -> str:
    """What to do about a failure, where no run waits for it."""
    if failure.category == "not_found":  # nothing but the root folder was looked at
        return f"correct the root folder, which must be there: in account {account}, or in its integration's base_url"
    if failure.host_key is None:
        return failure.suggested_action
    return (
        "ask whoever runs the server whether it has a new key, and compare the fingerprints; then "
        f"tieline accounts trust-host-key {account} {failure.host_key.presented} --why TEXT"
    )

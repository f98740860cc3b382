"""By which keys an account's SFTP server proves who it is, and who said so.

Under the policies `pinned` and `confirm_first` these are public keys; under `known_hosts` the lines of such a file.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.host_key_lines import checked_lines, fingerprint, host_pattern, is_about, policy_of
from auth.sftp_account import sftp_address
from definitions.auth.simple import HostKeyPolicy
from definitions.integration import Integration
from definitions.sftp import HostKeyChange
from storage.accounts import Account, account_named, bump_account, lock_account
from storage.database import Database
from storage.definitions import DefinitionStore
from storage.errors import NotFound
from storage.host_keys import TrustedLine, replace_lines, trusted_lines


class HostKeys:
    """The confirmed host keys of one installation."""

    def __init__(self, database: Database, definitions: DefinitionStore) -> None:
        self._database = database
        self._definitions = definitions

    async def of(self, name: str) -> Sequence[TrustedLine]:
        """Raises NotFound: there is no such account."""
        async with self._database.read() as connection:
            return await trusted_lines(connection, (await account_named(connection, name)).id)

    async def trust(self, name: str, lines: Sequence[str], *, who: str, why: str, add: bool = False) -> Account:
        """Trust these from now on; those that were there go, unless they are to be added to. Runs that wait go on.

        Raises:
            HostKeyError: one is no key, or the account's server proves itself by none.
            NotFound: there is no such account.
        """
        async with self._database.write() as connection:
            account = await account_named(connection, name)
            policy = policy_of(await self._integration(connection, account.integration))
            lines = checked_lines(policy, lines)
            if not await lock_account(connection, account.id):
                raise NotFound("account", name)
            kept = await trusted_lines(connection, account.id) if add else ()
            known = {each.line for each in kept}
            new = [line for line in lines if line not in known]
            await replace_lines(connection, account.id, kept, new, who=who, why=why)
            await bump_account(connection, account.id)
            return await account_named(connection, name)

    async def trust_presented(self, name: str, change: HostKeyChange, *, who: str, why: str) -> None:
        """Take the key that a server presented for its own, in place of the one that it had before.

        A question that somebody else has answered since, or that is about a server which the account has left, changes
        nothing: the next call asks again if need be.

        Raises:
            HostKeyError, NotFound: the account's server proves itself by none, or it is gone.
        """
        async with self._database.write() as connection:
            account = await account_named(connection, name)
            integration = await self._integration(connection, account.integration)
            policy = policy_of(integration)
            if not await lock_account(connection, account.id):
                raise NotFound("account", name)
            before = await trusted_lines(connection, account.id)
            if not self._still_asked(account, integration, before, change):
                return
            line, kept = change.public_key, []
            if policy is HostKeyPolicy.KNOWN_HOSTS:
                line = f"{host_pattern(change.host, change.port)} {change.public_key}"
                kept = [each for each in before if not is_about(each.line, change.host, change.port)]
            await replace_lines(connection, account.id, kept, [line], who=who, why=why)
            await bump_account(connection, account.id)

    def _still_asked(
        self, account: Account, integration: Integration, before: Sequence[TrustedLine], change: HostKeyChange
    ) -> bool:
        try:
            address = sftp_address(integration, integration.parameter_values(account.parameters))
        except ValueError:
            return False
        if (address.host, address.port) != (change.host, change.port):
            return False
        if not change.expected and any(is_about(each.line, change.host, change.port) for each in before):
            return False
        known = {fingerprint(each.line) for each in before}
        return known >= set(change.expected) and change.presented not in known

    async def _integration(self, connection: AsyncConnection, key: str) -> Integration:
        integration = await self._definitions.read(connection, "integration", key)
        assert isinstance(integration, Integration), "the kind was asked for"
        return integration

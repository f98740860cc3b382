"""By which keys an account's SFTP server proves who it is, and who said so.

Under the policies `pinned` and `confirm_first` these are public keys; under `known_hosts` the lines of such a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.host_key_lines import checked_lines, fingerprint, is_about, policy_of
from auth.sftp_account import SftpAddress, sftp_address, trust_in_force
from definitions.auth.simple import HostKeyPolicy
from definitions.integration import Integration
from definitions.sftp import HostKeyChange
from definitions.urls import normal_host
from net.sftp_errors import SftpError
from net.sftp_server import host_pattern
from storage.accounts import Account, account_named, bump_account, lock_account
from storage.database import Database
from storage.definitions import DefinitionStore
from storage.errors import NotFound
from storage.host_keys import TrustedLine, replace_lines, trusted_lines

if TYPE_CHECKING:
    from net.host_keys import Trust

Role = Literal["trusted", "authority", "revoked", "unused"]
"""What a confirmed key is to the account's server: `unused` if it is about another one, or none is looked at."""


@dataclass(frozen=True, slots=True)
class ConfirmedKey:
    """A key that somebody confirmed, as it was given, and what it counts for at the next login."""

    line: str
    fingerprint: str
    role: Role
    added_at: float
    added_by: str
    why: str

    @property
    def lets_in(self) -> bool:
        """Whether the account's server can prove itself by it."""
        return self.role in ("trusted", "authority")


class HostKeys:
    """The confirmed host keys of one installation."""

    def __init__(self, database: Database, definitions: DefinitionStore) -> None:
        self._database = database
        self._definitions = definitions

    async def of(self, name: str) -> Sequence[ConfirmedKey]:
        """Raises NotFound: there is no such account."""
        async with self._database.read() as connection:
            account = await account_named(connection, name)
            lines = await trusted_lines(connection, account.id)
            if not lines:
                return []
            integration = await self._integration(connection, account.integration)
        return _confirmed(account, integration, lines)

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
            if not _still_asked(account, integration, before, change):
                return
            line, kept = change.public_key, []
            if policy is HostKeyPolicy.KNOWN_HOSTS:
                line = f"{host_pattern(change.host, change.port)} {change.public_key}"
                kept = [each for each in before if not is_about(each.line, change.host, change.port)]
            await replace_lines(connection, account.id, kept, [line], who=who, why=why)
            await bump_account(connection, account.id)

    async def _integration(self, connection: AsyncConnection, key: str) -> Integration:
        integration = await self._definitions.read(connection, "integration", key)
        assert isinstance(integration, Integration), "the kind was asked for"
        return integration


def _still_asked(
    account: Account, integration: Integration, before: Sequence[TrustedLine], change: HostKeyChange
) -> bool:
    """Whether a login there would be refused for the same reason: what counts is what the login goes by."""
    try:
        address, trust = _trust(account, integration, before)
    except (ValueError, SftpError):
        return False
    if (normal_host(address.host), address.port) != (normal_host(change.host), change.port):
        return False
    decided = {key.get_fingerprint() for key in (*trust.accepted, *trust.revoked)}
    return set(trust.expected) == set(change.expected) and change.presented not in decided


def _confirmed(account: Account, integration: Integration, lines: Sequence[TrustedLine]) -> Sequence[ConfirmedKey]:
    try:
        trusted = _trust(account, integration, lines)
    except (ValueError, SftpError):
        trusted = None
    found = []
    for each in lines:
        told = fingerprint(each.line)
        role = _role(each.line, told, *trusted) if trusted else "unused"
        found.append(ConfirmedKey(each.line, told, role, each.added_at, each.added_by, each.why))
    return found


def _role(line: str, told: str, address: SftpAddress, trust: "Trust") -> Role:
    authorities, revoked, accepted = (
        {key.get_fingerprint() for key in keys} for keys in (trust.authorities, trust.revoked, trust.accepted)
    )
    if line.startswith("@cert-authority"):
        return "authority" if told in authorities else "unused"
    if line.startswith("@revoked"):
        return "revoked" if told in revoked else "unused"
    if not is_about(line, address.host, address.port):
        return "unused"
    return "trusted" if told in accepted else "revoked" if told in revoked else "unused"


def _trust(account: Account, integration: Integration, lines: Sequence[TrustedLine]) -> "tuple[SftpAddress, Trust]":
    """Raises ValueError, SftpError: no login would get as far as to look at a key."""
    address = sftp_address(integration, integration.parameter_values(account.parameters))
    return address, trust_in_force(integration, address, [each.line for each in lines])

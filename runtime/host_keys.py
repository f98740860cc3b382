"""The keys that an account's SFTP server offers, for a person to compare with what the server's owner says."""

import re
from collections.abc import Mapping, Sequence

from auth.host_key_lines import HostKeyError, policy_and_warnings
from auth.sftp_account import SftpAddress, sftp_address
from definitions.auth.simple import HostKeyPolicy, SftpAuth
from definitions.integration import Integration
from net.resolver import SystemResolver
from net.sftp_server import HostKey, host_pattern
from runtime.egress import egress_policy
from runtime.settings import Settings

FINGERPRINT = "SHA256:"
_WHOLE = re.compile(rf"{FINGERPRINT}[A-Za-z0-9+/]{{43}}=?")
"""32 bytes in base64."""


class Unconfirmed(HostKeyError):
    """A server presents keys, and nobody has said yet that they are its own."""

    def __init__(self, address: SftpAddress, offered: Sequence[HostKey]) -> None:
        self.address = address
        self.offered = offered
        told = ", ".join(f"{key.fingerprint} ({key.algorithm})" for key in offered)
        super().__init__(f"{address.host}:{address.port} presents host keys that nobody has confirmed: {told}")


async def keys_for_new_account(
    settings: Settings, integration: Integration, parameters: Mapping[str, str], given: Sequence[str]
) -> list[str]:
    """What a new account is to trust.

    Raises:
        Unconfirmed: no key was given, and the integration wants what the server presents to be confirmed by a person.
        HostKeyError, SftpError: what was given is no key of the server, or it cannot be asked.
    """
    policy, _ = policy_and_warnings(integration)
    if policy in (None, HostKeyPolicy.INSECURE):
        return list(given)
    if given or policy is not HostKeyPolicy.CONFIRM_FIRST:
        return await keys_meant(settings, integration, parameters, given)
    raise Unconfirmed(*await offered_keys(settings, integration, parameters))


async def offered_keys(
    settings: Settings, integration: Integration, parameters: Mapping[str, str]
) -> tuple[SftpAddress, Sequence[HostKey]]:
    """Ask the server, before any login.

    Raises:
        HostKeyError: the integration is not SFTP, or its base URL names no server.
        SftpError: the server cannot be reached.
    """
    from net.ssh import SshDialer  # the SSH library costs more to load than all that most commands do

    if not isinstance(integration.auth, SftpAuth):
        raise HostKeyError(f"integration {integration.key!r} is not SFTP: its servers have no SSH host keys")
    try:
        address = sftp_address(integration, integration.parameter_values(parameters))
    except ValueError as error:
        raise HostKeyError(f"integration {integration.key!r}: {error}") from None
    policy, resolver = await egress_policy(settings), SystemResolver()
    try:
        return address, await SshDialer(policy, resolver).host_keys(address.host, address.port, address.ports)
    finally:
        resolver.close()


async def keys_meant(
    settings: Settings, integration: Integration, parameters: Mapping[str, str], given: Sequence[str]
) -> list[str]:
    """Fingerprints among what was given are replaced by the keys that have them, which the server is asked for.

    Raises:
        HostKeyError: one is no fingerprint, or the server offers no key that has it.
        SftpError: it cannot be reached.
    """
    fingerprints = [each.strip() for each in given if each.strip().startswith(FINGERPRINT)]
    if not fingerprints:
        return list(given)
    for each in fingerprints:
        if not _WHOLE.fullmatch(each):
            raise HostKeyError(
                f"{each} is no SHA-256 fingerprint: {FINGERPRINT} and 43 characters of base64, as ssh-keygen -lf FILE "
                "prints it of a key; copy the whole of it"
            )
    address, offered = await offered_keys(settings, integration, parameters)
    return [_meant(each.strip(), integration, address, offered) for each in given]


def _as_line(integration: Integration, address: SftpAddress, key: HostKey) -> str:
    """As the account's policy keeps it."""
    known_hosts = isinstance(integration.auth, SftpAuth) and integration.auth.host_key is HostKeyPolicy.KNOWN_HOSTS
    return f"{host_pattern(address.host, address.port)} {key.public}" if known_hosts else key.public


def _meant(given: str, integration: Integration, address: SftpAddress, offered: Sequence[HostKey]) -> str:
    if not given.startswith(FINGERPRINT):
        return given
    for key in offered:
        if key.fingerprint.rstrip("=") == given.rstrip("="):
            return _as_line(integration, address, key)
    told = ", ".join(f"{key.fingerprint} ({key.algorithm})" for key in offered)
    raise HostKeyError(
        f"{address.host}:{address.port} offers no key with the fingerprint {given}, but {told}: somebody else may "
        "answer there; ask the server's owner"
    )

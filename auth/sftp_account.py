"""Which SFTP server an account stands for: host, port and root from the base URL and the account's parameters."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from auth.credential import Credential
from auth.errors import Misconfigured
from auth.host_key_lines import is_about
from definitions.auth import SftpAuth
from definitions.auth.simple import HostKeyPolicy
from definitions.integration import Integration
from definitions.remote_path import RemotePathError, check_remote_path, render_remote_path
from definitions.templates import TemplateError
from definitions.urls import UrlError, literal_port, render_url
from net.sftp_server import DEFAULT_PORT, SftpServer, host_pattern

if TYPE_CHECKING:
    from net.host_keys import Trust


@dataclass(frozen=True, slots=True)
class SftpAddress:
    """`root` is the folder below which all paths are; empty: the one that the server leads to after the login.

    `ports` are those that the definition itself opens beside 22.
    """

    host: str
    port: int
    root: str
    ports: frozenset[int]


def sftp_address(integration: Integration, parameters: Mapping[str, str]) -> SftpAddress:
    """Where an account's files are.

    Raises:
        ValueError: the base URL, filled with these parameters, names no server; the text names no value.
    """
    try:
        parts = urlsplit(render_url(integration.base_url, parameters))
        port = parts.port or DEFAULT_PORT
    except (UrlError, TemplateError) as error:
        raise ValueError(f"base_url: {error}") from None
    except ValueError:
        raise ValueError("base_url: the port is not a number between 1 and 65535") from None
    if parts.scheme != "sftp" or not parts.hostname or parts.username is not None:
        raise ValueError("base_url: expected sftp://HOST[:PORT][/ROOT], without a user name")
    own = literal_port(integration.base_url)
    ports = frozenset({*integration.ports, *([own] if own else [])})
    return SftpAddress(parts.hostname, port, _root(unquote(parts.path)), ports)


def sftp_server(credential: Credential) -> tuple[SftpServer, SftpAddress]:
    """The server, and as whom.

    Raises:
        Misconfigured: the account or its integration names none.
    """
    auth = credential.integration.auth
    assert isinstance(auth, SftpAuth), "what leads to something else is refused when a run starts"
    try:
        address = sftp_address(credential.integration, credential.parameters)
    except ValueError as error:
        raise Misconfigured(
            f"account {credential.account!r}, integration {credential.integration.key!r}: {error}",
            action="correct the integration and apply it, or create the account again with other parameters",
            account=credential.account,
        ) from None
    secrets = {name: value.reveal() for name, value in credential.values.items() if name in auth.secret_fields()}
    server = SftpServer(
        account_id=credential.account_id,
        version=credential.account_version,
        host=address.host,
        port=address.port,
        ports=address.ports,
        policy=auth.host_key.value,
        trusted=tuple(_as_read(credential.host_keys, auth.host_key, address)),
        doubted=credential.cause is not None,
        **secrets,
    )
    return server, address


def trust_in_force(integration: Integration, address: SftpAddress, lines: Sequence[str]) -> "Trust":
    """What the login at this server goes by, of all that was confirmed for the account.

    Raises:
        SftpError: `no_trust`: a line cannot be read.
    """
    from net.host_keys import Trust, trust_in  # asyncssh is slow to import

    auth = integration.auth
    if not isinstance(auth, SftpAuth) or auth.host_key is HostKeyPolicy.INSECURE:
        return Trust(verified=False)
    read, known_hosts = tuple(_as_read(lines, auth.host_key, address)), auth.host_key is HostKeyPolicy.KNOWN_HOSTS
    return trust_in(read, address.host, address.port, known_hosts=known_hosts)


def _as_read(lines: Sequence[str], policy: HostKeyPolicy, address: SftpAddress) -> Iterator[str]:
    """What was confirmed under another policy than the one that the integration has now, in this one's form."""
    for line in lines:
        bare = len(line.split()) == 2
        if policy is HostKeyPolicy.KNOWN_HOSTS:
            yield f"{host_pattern(address.host, address.port)} {line}" if bare else line
        elif bare:
            yield line
        elif is_about(line, address.host, address.port):
            yield " ".join(line.split()[1:3])


def _root(path: str) -> str:
    if path in ("", "/"):
        return path
    try:
        return posixpath.normpath(
            render_remote_path(check_remote_path(path.replace("{", "{{").replace("}", "}}")), {}, "/")
        )
    except RemotePathError as error:
        raise ValueError(f"base_url: {error}") from None

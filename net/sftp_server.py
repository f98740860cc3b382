"""Which SFTP server, as whom, and how its key is checked. Without the SSH library."""

import re
from dataclasses import dataclass
from typing import Literal

from definitions.urls import normal_host

DEFAULT_PORT = 22
"""RFC 4253 §4."""

HostKeyPolicy = Literal["known_hosts", "pinned", "confirm_first", "insecure"]


@dataclass(frozen=True, slots=True, repr=False)
class SftpServer:
    """An account's server and login, at one version of the account.

    `ports` are the ports that the account may use beside 22. `trusted` are lines of a known_hosts file for
    `known_hosts`, and public keys such as `ssh-ed25519 AAAA…` for `pinned` and `confirm_first`. `doubted`: what it said
    of its key or of this login counts only if it is said now, so that no connection from before will do.
    """

    account_id: str
    version: int
    host: str
    port: int
    username: str
    password: str | None = None
    private_key: str | None = None
    passphrase: str | None = None
    certificate: str | None = None
    policy: HostKeyPolicy = "known_hosts"
    trusted: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset()
    doubted: bool = False

    @property
    def place(self) -> str:
        """Host and port, as messages show them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"SftpServer({self.place}, account {self.account_id} version {self.version})"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key that a server presents."""

    algorithm: str
    public: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a server says about a file. `refused` says why a name in a listing must not be used.

    `modified` is in seconds since the epoch. What the server did not say is None.
    """

    path: str
    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int | None = None
    modified: float | None = None
    permissions: int | None = None
    refused: str | None = None

    @property
    def what(self) -> str:
        """In a sentence: `it is a file`."""
        return "neither a file nor a folder" if self.kind == "other" else f"a {self.kind}"


def host_pattern(host: str, port: int) -> str:
    """As a line of known_hosts begins."""
    return normal_host(host) if port == DEFAULT_PORT else f"[{normal_host(host)}]:{port}"


def normal_patterns(hosts: str) -> str:
    """The patterns of a line of known_hosts, in the form in which hosts are compared with them."""
    if hosts.startswith("|"):  # hashed, of the name in lower case
        return hosts
    return _TRAILING_DOT.sub("", hosts.lower())


_TRAILING_DOT = re.compile(r"(?<=[a-z0-9_-])\.+(?=]|,|$)")

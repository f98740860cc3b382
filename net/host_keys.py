"""Which keys a server may present: the account's trust data, and what to say when another key comes.

The check itself is asyncssh's. Its argument is built here and never left to a default, which would be the known-hosts
file of whoever runs the process.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import asyncssh

from definitions.sftp import HostKeyChange
from definitions.urls import normal_host
from net.sftp_errors import SftpCode, SftpError
from net.sftp_server import DEFAULT_PORT, HostKey, SftpServer, normal_patterns

_RSA = ("rsa-sha2-512", "rsa-sha2-256")
KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    *_RSA,
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed448",
)
"""Without `ssh-rsa`, which signs with SHA-1: RSA keys are used with SHA-2."""
_CERTIFICATE_ALGORITHMS = (
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-ed448-cert-v01@openssh.com",
)
_FALSE_STARTS = ("-----", "PuTTY-")


@dataclass(frozen=True, slots=True)
class Trust:
    """What is trusted for one server. `verified` is False under the policy `insecure` only: then any key will do."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    revoked: tuple[asyncssh.SSHKey, ...] = ()
    verified: bool = True

    @property
    def accepted(self) -> tuple[asyncssh.SSHKey, ...]:
        """The keys that the server may present, apart from those that an authority has certified."""
        return tuple(key for key in self.keys if key not in self.revoked)

    @property
    def argument(self) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]] | None:
        """The `known_hosts` of asyncssh: None switches its check off, and an empty triple refuses every key.

        A revoked key is left out of those that are trusted, and stands as revoked only beside authorities, whose
        certificates may contain it: of a key that is simply not trusted asyncssh tells which it was.
        """
        if not self.verified:
            return None
        return list(self.accepted), list(self.authorities), list(self.revoked) if self.authorities else []

    @property
    def algorithms(self) -> list[str]:
        """Those of the trusted keys first: a server with several keys must show the one that is known."""
        first: list[str] = []
        if self.authorities:
            first += _CERTIFICATE_ALGORITHMS
        for key in self.keys:
            first += _algorithms_of(key)
        return list(dict.fromkeys([*first, *KEY_ALGORITHMS]))

    @property
    def expected(self) -> tuple[str, ...]:
        """Fingerprints."""
        return tuple(dict.fromkeys(key.get_fingerprint() for key in (*self.keys, *self.authorities)))


def trust_of(server: SftpServer, *, allow_insecure: bool) -> Trust:
    """What is trusted for this server by its account's policy.

    Raises:
        SftpError: `no_trust`: nothing to check its key against, or `insecure` where the operator does not allow it.
    """
    if server.policy == "insecure":
        if allow_insecure:
            return Trust(verified=False)
        raise SftpError(
            "no_trust",
            f"{server.place}: the account does not check the server's key, and this installation does not allow that; "
            "confirm the server's key for the account, or let the operator allow insecure SFTP",
        )
    if not any(line.strip() for line in server.trusted):
        raise SftpError(
            "no_trust",
            f"{server.place}: the account has no host key to check the server's against (policy {server.policy}); "
            "add known_hosts lines or a public key, or confirm the key that the server presents",
        )
    known_hosts = server.policy == "known_hosts"
    return trust_in(server.trusted, server.host, server.port, known_hosts=known_hosts)


def trust_in(lines: tuple[str, ...], host: str, port: int, *, known_hosts: bool) -> Trust:
    """What these lines say about one server.

    Raises:
        SftpError: `no_trust`: one cannot be read.
    """
    return _known(lines, host, port) if known_hosts else Trust(keys=_pinned(lines))


def host_key(key: asyncssh.SSHKey) -> HostKey:
    """A key as people compare it."""
    public = key.export_public_key().decode().split()
    return HostKey(public[0], " ".join(public[:2]), key.get_fingerprint())


def refusal(server: SftpServer, trust: Trust, presented: asyncssh.SSHKey | None, reason: str) -> SftpError:
    """The error for a key that is not trusted, or (None) for a certificate or a revoked key, with asyncssh's reason."""
    expected = trust.expected
    known = "; expected " + " or ".join(expected) if expected else "; no key of this server is known"
    code: SftpCode = "host_key_changed" if expected or trust.revoked else "host_key_unknown"
    if presented is None:
        what = reason.partition(" for host ")[0].lower() or "it is not trusted"
        return SftpError(code, f"{server.place} proved itself in a way that is not accepted ({what}){known}")
    key = host_key(presented)
    if presented in trust.revoked:
        return SftpError(code, f"{server.place} presented the revoked key {key.fingerprint} ({key.algorithm}){known}")
    change = HostKeyChange(
        host=server.host,
        port=server.port,
        algorithm=key.algorithm,
        public_key=key.public,
        presented=key.fingerprint,
        expected=expected,
    )
    text = f"{server.place} presented the key {key.fingerprint} ({key.algorithm}){known}"
    return SftpError(code, f"{text}; compare it with what the server's owner tells you, then decide", keys=change)


def _algorithms_of(key: asyncssh.SSHKey) -> Sequence[str]:
    name = key.algorithm.decode("ascii")
    return _RSA if name == "ssh-rsa" else (name,)


@lru_cache(maxsize=256)
def _known(lines: tuple[str, ...], host: str, port: int) -> Trust:
    """Matched by the name alone: a line for some address says nothing about whoever a name leads to today."""
    known = asyncssh.import_known_hosts("\n".join(_checked_lines(lines)))
    keys, authorities, revoked, *_ = known.match(normal_host(host), "", None if port == DEFAULT_PORT else port)
    return Trust(tuple(keys), tuple(authorities), tuple(revoked))


def _checked_lines(lines: Iterable[str]) -> Iterable[str]:
    """The lines with their host patterns in the form in which they are compared.

    Raises:
        SftpError: `no_trust`; asyncssh skips what it cannot read, which here would be a key that silently is not known.
    """
    for number, line in enumerate(_split(lines), 1):
        try:
            yield _checked_line(line)
        except ValueError:
            where = f"line {number} of the account's known_hosts"
            raise SftpError("no_trust", f"{where} cannot be read: expected `host ssh-ed25519 AAAA…`") from None


def _checked_line(line: str) -> str:
    marker, rest = line.split(None, 1) if line.startswith("@") else ("", line)
    hosts, key = rest.split(None, 1)
    asyncssh.import_public_key(key)
    checked = f"{marker} {normal_patterns(hosts)} {key}".strip()
    asyncssh.import_known_hosts(checked)
    return checked


def _split(lines: Iterable[str]) -> Iterable[str]:
    for text in lines:
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.strip()


@lru_cache(maxsize=256)
def _pinned(texts: tuple[str, ...]) -> tuple[asyncssh.SSHKey, ...]:
    keys = []
    for number, line in enumerate(_split(texts), 1):
        try:
            if line.startswith(_FALSE_STARTS):
                raise ValueError
            keys.append(asyncssh.import_public_key(line))
        except ValueError:
            which = f"public key {number} of those that are trusted for the account"
            raise SftpError("no_trust", f"{which} cannot be read: expected `ssh-ed25519 AAAA…`") from None
    return tuple(keys)

"""Host keys as people hand them in: public keys, or lines of a known_hosts file."""

from collections.abc import Sequence

from auth.errors import AuthError
from definitions.auth import SftpAuth
from definitions.auth.simple import HostKeyPolicy
from definitions.integration import Integration
from definitions.urls import normal_host
from net.sftp_server import DEFAULT_PORT, normal_patterns

MARKERS = ("@cert-authority", "@revoked")


class HostKeyError(AuthError):
    """A host key cannot be read or taken; the text says what to do."""


def policy_of(integration: Integration) -> HostKeyPolicy:
    """Raises HostKeyError: it is no SFTP integration, or looks at no key."""
    if not isinstance(integration.auth, SftpAuth):
        raise HostKeyError(f"integration {integration.key!r} is not SFTP: host keys belong to auth.type sftp")
    if integration.auth.host_key is HostKeyPolicy.INSECURE:
        raise HostKeyError(
            f"integration {integration.key!r} looks at no host key (auth.host_key: insecure): "
            "to trust one, give it another policy"
        )
    return integration.auth.host_key


def policy_and_warnings(integration: Integration | None) -> tuple[HostKeyPolicy | None, Sequence[str]]:
    """How an SFTP server proves who it is; of another integration, and of one that cannot be read, None."""
    if integration is None or not isinstance(integration.auth, SftpAuth):
        return None, ()
    if integration.auth.host_key is HostKeyPolicy.INSECURE:
        told = "this integration looks at no host key (auth.host_key: insecure): anybody can be the server"
        return integration.auth.host_key, (told,)
    return integration.auth.host_key, ()


def checked_lines(policy: HostKeyPolicy, lines: Sequence[str]) -> list[str]:
    """The lines, tidy, without comments and repetitions.

    Raises:
        HostKeyError: there is none, or one is not what the policy reads.
    """
    stripped = [line.strip() for text in lines for line in text.splitlines()]
    wanted = [line for line in stripped if line and not line.startswith("#")]
    if not wanted:
        raise HostKeyError("no host key was given")
    if policy is HostKeyPolicy.KNOWN_HOSTS:
        return list(dict.fromkeys(_known_hosts_line(line, number) for number, line in enumerate(wanted, 1)))
    return list(dict.fromkeys(public_key(line) for line in wanted))


def public_key(line: str) -> str:
    """A public key as `type base64`, whatever stands around it in a line of known_hosts or of ssh-keyscan.

    Raises:
        HostKeyError: it is none.
    """
    import asyncssh  # costs more to load than all that most commands do

    fields = line.split()
    for start in (0, 1):
        text = " ".join(fields[start : start + 2])
        try:
            key = asyncssh.import_public_key(text)
        except (asyncssh.KeyImportError, ValueError):
            continue
        return " ".join(key.export_public_key("openssh").decode().split()[:2])
    raise HostKeyError(
        "a host key is not an OpenSSH public key, such as ssh-ed25519 AAAA…: copy one from the server's "
        "/etc/ssh/ssh_host_ed25519_key.pub"
    )


def fingerprint(line: str) -> str:
    """As people compare them: `SHA256:…`. Raises HostKeyError."""
    import asyncssh

    fields = line.split()
    if fields and fields[0].startswith("@"):
        line = " ".join(fields[2:])
    return str(asyncssh.import_public_key(public_key(line)).get_fingerprint())


def _known_hosts_line(line: str, number: int) -> str:
    import asyncssh

    fields = line.split()
    marked = fields[0].startswith("@")
    if marked and fields[0] not in MARKERS:
        raise HostKeyError(f"line {number} of the known hosts begins with an unknown marker: {' or '.join(MARKERS)}")
    if len(fields) < (4 if marked else 3):
        raise HostKeyError(
            f"line {number} of the known hosts is not HOST TYPE KEY, as ssh-keyscan prints it, such as "
            "files.example ssh-ed25519 AAAA…; keys without a host are for the policies pinned and confirm_first"
        )
    try:
        public_key(" ".join(fields[2 if marked else 1 :]))
        asyncssh.import_known_hosts(line + "\n")
    except (HostKeyError, ValueError):
        raise HostKeyError(f"line {number} of the known hosts holds no public key that can be read") from None
    return " ".join(_normal(fields)[: 4 if marked else 3])


def is_about(line: str, host: str, port: int) -> bool:
    """Whether a line names a key of this server; authorities and revocations stay as they are.

    A bare key, confirmed under another policy, is that of the account's only server.
    """
    import asyncssh

    fields = line.split()
    if line.startswith("@"):
        return False
    if len(fields) == 2:
        return True
    known = asyncssh.import_known_hosts(" ".join(_normal(fields)) + "\n")
    return any(known.match(normal_host(host), "", None if port == DEFAULT_PORT else port)[:3])


def _normal(fields: Sequence[str]) -> list[str]:
    """As they are compared: `[Files.Example.]:2222` names the same server as `[files.example]:2222`."""
    hosts = 1 if fields[0].startswith("@") else 0
    return [normal_patterns(field) if number == hosts else field for number, field in enumerate(fields)]

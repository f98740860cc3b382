"""How an SFTP operation can fail. Without the SSH library, so that the command line may name them."""

from typing import Literal

from definitions.sftp import HostKeyChange

SftpCode = Literal[
    "egress_denied",
    "dns_failed",
    "connect_failed",
    "connection_lost",
    "timeout",
    "stalled",
    "protocol_error",
    "auth_refused",
    "host_key_changed",
    "host_key_unknown",
    "bad_key",
    "no_trust",
    "not_found",
    "permission_denied",
    "already_exists",
    "not_a_directory",
    "not_empty",
    "no_space",
    "unsupported",
    "failure",
    "bad_name",
]


class SftpError(Exception):
    """An SFTP operation that failed.

    `code` is stable and machine-readable. The text names the operation, the path, and the server; of what the server
    says it holds a short, printable, scrubbed excerpt at most, so it can be logged, stored and shown.
    `keys` stands with `host_key_changed` and `host_key_unknown`: what the server presented, and what was expected. It
    is None where there is no single key to decide about (a certificate that is not valid, a revoked key).
    """

    def __init__(self, code: SftpCode, message: str, *, keys: HostKeyChange | None = None) -> None:
        super().__init__(message)
        self.code: SftpCode = code
        self.keys = keys

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.code, str(self), self.keys)


def _restore(code: SftpCode, message: str, keys: HostKeyChange | None) -> SftpError:
    return SftpError(code, message, keys=keys)

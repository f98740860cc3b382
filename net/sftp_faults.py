"""From what a server or the SSH library reports to errors of ours: named, bounded, without anybody's secrets."""

import asyncssh

from net.redaction import LIVE_SECRETS
from net.sftp_errors import SftpCode, SftpError

MAX_EXCERPT = 120
MAX_SHOWN_PATH = 200

_CODES: dict[int, SftpCode] = {
    asyncssh.FX_NO_SUCH_FILE: "not_found",
    asyncssh.FX_NO_SUCH_PATH: "not_found",
    asyncssh.FX_PERMISSION_DENIED: "permission_denied",
    asyncssh.FX_WRITE_PROTECT: "permission_denied",
    asyncssh.FX_CANNOT_DELETE: "permission_denied",
    asyncssh.FX_FILE_ALREADY_EXISTS: "already_exists",
    asyncssh.FX_NOT_A_DIRECTORY: "not_a_directory",
    asyncssh.FX_DIR_NOT_EMPTY: "not_empty",
    asyncssh.FX_NO_SPACE_ON_FILESYSTEM: "no_space",
    asyncssh.FX_QUOTA_EXCEEDED: "no_space",
    asyncssh.FX_OP_UNSUPPORTED: "unsupported",
    asyncssh.FX_INVALID_FILENAME: "bad_name",
    asyncssh.FX_BAD_MESSAGE: "protocol_error",
    asyncssh.FX_NO_CONNECTION: "connection_lost",
    asyncssh.FX_CONNECTION_LOST: "connection_lost",
}
_WORDS: tuple[tuple[str, SftpCode], ...] = (
    ("no space", "no_space"),
    ("disk full", "no_space"),
    ("quota", "no_space"),
    ("already exists", "already_exists"),
    ("file exists", "already_exists"),
    ("not empty", "not_empty"),
    ("not a directory", "not_a_directory"),
    ("permission denied", "permission_denied"),
    ("no such file", "not_found"),
)
"""What servers put into the text of a general failure: version 3 of the protocol has no codes for it."""
_OF_OPENSSH = "bad message"
"""Its answer to EINVAL, such as for a folder that is to be moved into itself: nobody broke the protocol."""
_PLAIN: dict[SftpCode, str] = {
    "not_found": "there is no such file or folder",
    "permission_denied": "the server does not permit it",
    "already_exists": "something of that name exists already",
    "not_a_directory": "it is no folder",
    "not_empty": "the folder is not empty",
    "no_space": "the server has no space left",
    "unsupported": "the server does not offer this operation",
    "bad_name": "the server does not accept the name",
    "failure": "the server refused without saying why",
    "protocol_error": "the server's answer breaks the protocol",
    "connection_lost": "the connection was lost",
}
_SAYS_NOTHING = frozenset({"failure", "no such file", "permission denied"})
Raised = (asyncssh.Error, OSError, EOFError)
"""What asyncssh raises from requests; BrokenPipeError among them, from a channel that has just been closed."""


def fault(operation: str, path: str, place: str, error: Exception, *, code: SftpCode | None = None) -> SftpError:
    """The error for an operation on a path at a server. `code` where more is known than the server said."""
    code = code or _code(error)
    said = excerpt(error.reason) if isinstance(error, asyncssh.SFTPError) else ""
    more = f' (it said "{said}")' if said and said.lower() not in _SAYS_NOTHING and code != "connection_lost" else ""
    return SftpError(code, f"{operation} {printable(path)} at {place}: {_PLAIN[code]}{more}")


def is_plain_failure(error: Exception) -> bool:
    """A failure that the server does not explain, which version 3 of the protocol has for most things."""
    return isinstance(error, asyncssh.SFTPError) and _code(error) == "failure"


def excerpt(text: str) -> str:
    """The beginning of what a server said, printable, without any secret that this process knows."""
    clean = printable(LIVE_SECRETS.scrub(text), limit=MAX_EXCERPT)
    return clean.strip(" .")


def printable(text: str, *, limit: int = MAX_SHOWN_PATH) -> str:
    """As one can read it: what would not show, or break the line, in the way that Python writes it."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "…"


def _code(error: Exception) -> SftpCode:
    if not isinstance(error, asyncssh.SFTPError):
        return "connection_lost"
    code = _CODES.get(error.code, "failure")
    if error.code == asyncssh.FX_BAD_MESSAGE and error.reason.lower() == _OF_OPENSSH:
        return "failure"
    if code != "failure":
        return code
    text = error.reason.lower()
    return next((meaning for words, meaning in _WORDS if words in text), "failure")

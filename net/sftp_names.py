"""Which names may stand for a file: those that callers give, and those that servers list."""

from net.sftp_errors import SftpError
from net.sftp_faults import printable

MAX_NAME = 255
"""Bytes. No usual file system takes more."""
MAX_PATH = 4096


def encoded(operation: str, path: str) -> bytes:
    """A caller's path as it is sent.

    Raises:
        SftpError: `bad_name`; nothing was sent.
    """
    reason = _path_fault(path)
    if reason is not None:
        raise SftpError("bad_name", f"{operation} {printable(path)}: the path {reason}")
    return path.encode()


def listed(raw: bytes) -> tuple[str, str | None]:
    """A name from a listing, in a form that can be shown, and why it must not be used, if so."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace"), "is not UTF-8"
    return name, _name_fault(name, len(raw))


def _name_fault(name: str, length: int) -> str | None:
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "names a folder above or the folder itself"
    if "/" in name:
        return "holds a slash"
    if any(_is_control(c) for c in name):
        return "holds a control character"
    if length > MAX_NAME:
        return f"is longer than {MAX_NAME} bytes"
    return None


def _path_fault(path: str) -> str | None:
    if not path:
        return "is empty"
    if any(_is_control(c) for c in path):
        return "holds a control character, a line break or NUL"
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return f"is longer than {MAX_PATH} bytes" if length > MAX_PATH else None


def _is_control(c: str) -> bool:
    """C0, DEL and C1 control characters, and the two separators that also break lines."""
    return c < " " or "\x7f" <= c <= "\x9f" or c in "\u2028\u2029"

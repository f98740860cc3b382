"""Attributes of files, between the protocol's form and ours."""

import stat
from typing import Literal

import asyncssh

from net.sftp_server import RemoteFile

Kind = Literal["file", "folder", "link", "other"]

_KINDS: dict[int, Kind] = {
    asyncssh.FILEXFER_TYPE_REGULAR: "file",
    asyncssh.FILEXFER_TYPE_DIRECTORY: "folder",
    asyncssh.FILEXFER_TYPE_SYMLINK: "link",
}


def remote_file(path: str, name: str, attrs: asyncssh.SFTPAttrs, refused: str | None = None) -> RemoteFile:
    """What the server says; a size that it made up included."""
    return RemoteFile(
        path=path,
        name=name,
        kind=_KINDS.get(attrs.type, "other"),
        size=attrs.size,
        modified=None if attrs.mtime is None else attrs.mtime + (attrs.mtime_ns or 0) / 1e9,
        permissions=None if attrs.permissions is None else stat.S_IMODE(attrs.permissions),
        refused=refused,
    )


def attributes(permissions: int | None = None, modified: float | None = None) -> asyncssh.SFTPAttrs:
    """Version 3 of the protocol sets both times or none: the last access is then the last change."""
    if modified is None:
        return asyncssh.SFTPAttrs(permissions=permissions)
    return asyncssh.SFTPAttrs(permissions=permissions, atime=int(modified), mtime=int(modified))

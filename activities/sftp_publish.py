"""Gives a file its final name when it is whole."""

import hashlib

from activities.sftp_judge import Refused
from activities.sftp_places import Place, temporary_name
from activities.sftp_task import Notes, Session, Task
from net.sftp_errors import SftpError

REFUSED_RENAME = frozenset({"already_exists", "failure", "unsupported", "permission_denied"})
"""How servers say that they replace nothing."""


async def part_of(task: Task, target: Place, index: int) -> Place:
    """Where a file stands until it is whole. On a server that renames nothing that is its final name."""
    if not task.modes.rename:
        return target
    name = temporary_name(target.name, task.key(index))
    folder = task.modes.temporary_folder
    return target.beside(name) if folder is None else await task.places.resolve(f"{folder.rstrip('/')}/", name)


async def publish(session: Session, part: str, target: Place, *, replace: bool, notes: Notes) -> None:
    """Rename; where a server replaces no file, and that was asked for, remove the old one first.

    Raises:
        Refused: there is a file of that name.
        SftpError: after `connection_lost` and its like it may have been done.
    """
    try:
        await session.rename(part, target.path, replace=replace)
        return
    except SftpError as error:
        if error.code not in REFUSED_RENAME:
            raise
        old = await session.lstat(target.path)
        if old is None or (replace and old.kind == "folder"):
            raise
        if not replace:
            raise Refused("already_exists", f"{target.shown} is there already") from None
    await session.remove(target.path)
    await session.rename(part, target.path, replace=False)
    notes.add("the server replaces no files: the old one was removed just before the new one got its name")


async def content_hash(session: Session, path: str, start: int = 0) -> tuple[str, str]:
    """SHA-256 of a file on the server as it is read back, and of what follows byte `start`. Raises SftpError."""
    whole, rest, position = hashlib.sha256(), hashlib.sha256(), 0
    async for chunk in session.read(path):
        whole.update(chunk)
        if start and position + len(chunk) > start:
            rest.update(chunk[max(start - position, 0) :])
        position += len(chunk)
    return whole.hexdigest(), rest.hexdigest() if start else whole.hexdigest()


async def remove_quietly(session: Session, path: str) -> None:
    """What is not there needs no removal; what cannot be removed stays."""
    try:
        await session.remove(path)
    except SftpError as error:
        if error.code in ("connection_lost", "timeout", "stalled"):
            raise

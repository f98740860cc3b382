"""Gives a file its final name when it is whole."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence

from activities.sftp_judge import Refused
from activities.sftp_places import Place, temporary_name
from activities.sftp_task import Notes, Session, Task
from net.sftp_errors import SftpError

REFUSED_RENAME = frozenset({"already_exists", "failure", "unsupported", "permission_denied"})
"""How servers say that there is something already."""
REPLACES_NOTHING = frozenset({"already_exists", "unsupported"})
"""Of a rename that was to replace: why the old file has to make way first. Nothing else is a reason to touch it."""

Telling = Callable[[bool], Awaitable[None]]
"""True: the old file is about to be set aside, and the unfinished one may soon be all there is. False: it is back."""


async def _nobody(_: bool) -> None:
    """Who is not told."""


async def part_of(task: Task, target: Place, index: int, attempt: str = "") -> Place:
    """Where a file stands until it is whole. On a server that renames nothing that is its final name.

    With `attempt` no other attempt writes there.
    """
    if not task.modes.rename:
        return target
    name = temporary_name(target.name, task.key(index), attempt)
    folder = task.modes.temporary_folder
    return target.beside(name) if folder is None else await task.places.resolve(f"{folder.rstrip('/')}/", name)


async def publish(
    session: Session,
    part: str,
    target: Place,
    *,
    replace: bool,
    notes: Notes,
    again: bool = False,
    telling: Telling = _nobody,
) -> None:
    """Rename; where a server replaces no file, and that was asked for, the old one is set aside until it is done.

    `again`: an earlier attempt may have set the old one aside.

    Raises:
        Refused: there is a file of that name.
        SftpError: after `connection_lost` and its like it may have been done.
    """
    aside = set_aside(target)
    try:
        await session.rename(part, target.path, replace=replace)
    except SftpError as error:
        if not await _must_make_way(session, target, error, replace=replace):
            if again and await _put_back(session, aside, target):
                await telling(False)
            raise
        await telling(True)
        await _swap(session, part, target, aside, telling)
        notes.add("the server replaces no files: the old one was set aside just before the new one got its name")
        again = True
    if again:
        await remove_quietly(session, aside)


def set_aside(target: Place) -> str:
    """Where a file stands that is about to be replaced, on a server that cannot do that in one step."""
    return target.beside(f"{temporary_name(target.name, target.path).removesuffix('.part')}.old").path


async def _must_make_way(session: Session, target: Place, error: SftpError, *, replace: bool) -> bool:
    """Raises Refused: there is a file, and it is to stay."""
    if error.code not in (REPLACES_NOTHING if replace else REFUSED_RENAME):
        return False
    old = await session.lstat(target.path)
    if old is None or (replace and old.kind == "folder"):
        return False
    if not replace:
        raise Refused("already_exists", f"{target.shown} is there already") from None
    return True


async def _swap(session: Session, part: str, target: Place, aside: str, telling: Telling) -> None:
    try:
        await _set_aside(session, target, aside)
    except SftpError:
        await telling(False)
        raise
    try:
        await session.rename(part, target.path, replace=False)
    except SftpError:
        if await _put_back(session, aside, target):
            await telling(False)
        raise


async def _set_aside(session: Session, target: Place, aside: str) -> None:
    try:
        await session.rename(target.path, aside, replace=False)
    except SftpError as error:
        if error.code != "already_exists":
            raise
        await session.remove(aside)  # of a replacement that was cut off when the new file had its name
        await session.rename(target.path, aside, replace=False)


async def _put_back(session: Session, aside: str, target: Place) -> bool:
    """False: it could not be asked for, or there is another file of that name."""
    try:
        await session.rename(aside, target.path, replace=False)
    except SftpError:
        return False
    return True


async def content_hash(session: Session, path: str, ends: Sequence[int] = ()) -> tuple[str, list[str]]:
    """SHA-256 of a file on the server as it is read back, and of each piece of it: they end there, the last with it.

    Raises SftpError.
    """
    whole, position, pieces, left = hashlib.sha256(), 0, [hashlib.sha256()], list(ends)
    async for chunk in session.read(path):
        whole.update(chunk)
        position += len(chunk)
        while left and position > left[0]:
            here = len(chunk) - (position - left.pop(0))
            pieces[-1].update(chunk[:here])
            pieces.append(hashlib.sha256())
            chunk = chunk[here:]
        pieces[-1].update(chunk)
    pieces += [hashlib.sha256() for _ in left]
    return whole.hexdigest(), [piece.hexdigest() for piece in pieces]


async def remove_quietly(session: Session, path: str) -> None:
    """What is not there needs no removal; what cannot be removed stays."""
    try:
        await session.remove(path)
    except SftpError as error:
        if error.code in ("connection_lost", "timeout", "stalled"):
            raise

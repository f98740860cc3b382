"""Gives a file its final name when it is whole."""

import hashlib
from collections.abc import Sequence

from activities.progress import Aside
from activities.sftp_judge import UNSURE, Refused
from activities.sftp_places import Place, temporary_name
from activities.sftp_task import Session, Task
from net.sftp_errors import SftpError

REFUSED_RENAME = frozenset({"already_exists", "failure", "unsupported", "permission_denied"})
"""How servers say that there is something already."""
REPLACES_NOTHING = frozenset({"already_exists", "unsupported"})
"""Of a rename that was to replace: why the old file has to make way first. Nothing else is a reason to touch it."""


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
    task: Task,
    new: str,
    target: Place,
    index: int,
    *,
    replace: bool,
    size: int | None = None,
    unfinished: bool = True,
) -> None:
    """Rename; where a server replaces no file, and that was asked for, the old one is set aside until it is done.

    Temporal knows of that before: whatever ends the attempt, one of the two files has the name in the end.

    Raises:
        Refused: there is a file of that name.
        SftpError: after `connection_lost` and its like it may have been done.
    """
    await task.beats.fence()
    if not replace and not task.session.rename_keeps:
        await _refuse_what_is_there(task, new, target)
    try:
        await task.session.rename(new, target.path, replace=replace)
    except SftpError as error:
        if not await _must_make_way(task.session, target, error, replace=replace):
            await _put_back(task, target)
            raise
        path = target.beside(f"{temporary_name(target.name, task.key(index)).removesuffix('.part')}.old").path
        aside = Aside(index=index, shown=target.shown, path=path, new=new, size=size, unfinished=unfinished)
        await _swap(task, target, aside)
        task.notes.add("the server replaces no files: the old one was set aside just before the new one got its name")
    await end_replacement(task, target)


async def end_replacement(task: Task, target: Place) -> None:
    """The new file has its name: what this run has set aside for it goes."""
    if (aside := task.progress.aside.get(target.path)) is None:
        return
    try:
        await task.session.remove(aside.path)
    except SftpError as error:
        if error.code in UNSURE:
            raise
        if error.code != "not_found":
            task.notes.add(f"what {target.shown} has replaced could not be removed, and is {aside.path} now: {error}")
    del task.progress.aside[target.path]


async def settle(session: Session, target: str, aside: Aside, *, for_good: bool) -> bool:
    """Where no attempt goes on: the old file has its name, unless the new one has; nothing stands beside (`for_good`).

    False: both stay. Raises SftpError.
    """
    there = await session.lstat(target)
    if there is None:
        try:
            await session.rename(aside.path, target, replace=False)
        except SftpError as error:
            return error.code == "not_found"
        return True
    if await session.lstat(aside.path) is None:
        return True
    if not for_good or aside.size not in (None, there.size) or await session.lstat(aside.new) is not None:
        return False
    await remove_quietly(session, aside.path)
    return await session.lstat(aside.path) is None


async def _refuse_what_is_there(task: Task, new: str, target: Place) -> None:
    """Once more, just before: there are servers whose rename replaces whatever has the name. Where `new` is gone, what
    is there may be it, and the rename tells."""
    try:
        there = await task.session.lstat(target.path) is not None and await task.session.lstat(new) is not None
    except SftpError as error:
        if task.modes.stat_after_upload or error.code in UNSURE:
            raise
        return
    if there:
        raise Refused("already_exists", f"{target.shown} is there already")


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


async def _swap(task: Task, target: Place, aside: Aside) -> None:
    earlier = task.progress.aside.get(target.path)
    task.progress.aside[target.path] = aside
    await task.beats.record()
    await task.beats.fence()
    try:
        await _set_aside(task.session, target, aside.path)
    except SftpError as error:
        if earlier is None and error.code not in UNSURE:
            del task.progress.aside[target.path]
        raise
    try:
        await task.session.rename(aside.new, target.path, replace=False)
    except SftpError:
        await _put_back(task, target)
        raise


async def _set_aside(session: Session, target: Place, aside: str) -> None:
    try:
        await session.rename(target.path, aside, replace=False)
    except SftpError as error:
        if error.code != "already_exists":
            raise
        await session.remove(aside)  # of a replacement that was cut off when the new file had its name
        await session.rename(target.path, aside, replace=False)


async def _put_back(task: Task, target: Place) -> None:
    """What cannot be asked for, or has another file in its place, stays aside."""
    if (aside := task.progress.aside.get(target.path)) is None:
        return
    try:
        await task.session.rename(aside.path, target.path, replace=False)
    except SftpError as error:
        if error.code != "not_found":
            return
    del task.progress.aside[target.path]


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


async def remove_quietly(session: Session, path: str) -> bool:
    """What is not there needs no removal; what cannot be removed stays (False)."""
    try:
        await session.remove(path)
    except SftpError as error:
        if error.code in ("connection_lost", "timeout", "stalled"):
            raise
        return error.code == "not_found"
    return True

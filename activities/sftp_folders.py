"""What is done to names on a server: look, make, move, delete, copy."""

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

from activities.progress import Seen
from activities.sftp_download import seen_of
from activities.sftp_entries import MAX_DEPTH, Entries
from activities.sftp_judge import UNSURE, Refused, folder_in_the_way
from activities.sftp_list import entry_of
from activities.sftp_places import Place
from activities.sftp_publish import end_replacement, publish
from activities.sftp_task import Outcome, Task
from activities.sftp_twice import has_both_names, leave_the_new_one
from definitions.sftp import SftpDelete, SftpExists, SftpMkdir, SftpMove, SftpStat
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile

EMPTYINGS = 4
"""Times that a folder is emptied into which new files come meanwhile."""
OTHER = "another file has its name now"


async def stat(task: Task, operation: SftpStat) -> Outcome:
    """Raises Refused, SftpError."""
    place = await task.places.resolve(operation.path)
    found = await task.session.lstat(place.path)
    if found is None:
        raise Refused("not_found", f"there is no {place.shown}")
    return Outcome(f"{place.shown} is {found.what}", paths=(place.shown,), entries=(entry_of(place, found),))


async def exists(task: Task, operation: SftpExists) -> Outcome:
    """Raises Refused, SftpError."""
    place = await task.places.resolve(operation.path)
    found = await task.session.lstat(place.path) is not None
    return Outcome(f"{place.shown} is {'' if found else 'not '}there", paths=(place.shown,), exists=found)


async def mkdir(task: Task, operation: SftpMkdir) -> Outcome:
    """Raises Refused, SftpError."""
    place = await task.places.resolve(operation.path)
    permissions = None if operation.permissions is None else int(operation.permissions, 8)
    found = await task.session.stat(place.path)
    if found is not None and found.kind != "folder":
        raise Refused("already_exists", f"{place.shown} is {found.what}")
    if found is None:
        if operation.parents:
            await task.places.make_folder_of(place)
        if permissions is not None:
            task.progress.source = Seen(kind="folder")
            await task.beats.record()
        await task.session.mkdir(place.path, permissions)
    if permissions is not None and task.progress.source is not None:
        await _permit(task, place, permissions)
    told = f"made {place.shown}" if found is None else f"{place.shown} was there"
    return Outcome(told, paths=(place.shown,))


async def _permit(task: Task, place: Place, permissions: int) -> None:
    """Servers take away from what is asked for a new folder (umask), and add what its own folder says (setgid)."""
    made = await task.session.stat(place.path)
    told = None if made is None else made.permissions
    if told is None or permissions not in (told, told & 0o777):
        await task.session.set_attributes(place.path, permissions=permissions)


async def move(task: Task, operation: SftpMove) -> Outcome:
    """What the source was is told to Temporal first, so that the next attempt knows it under its new name.

    Raises Refused, SftpError.
    """
    source = await task.places.resolve(operation.path)
    target = await task.places.resolve(operation.to, source.name)
    if source.path == target.path:
        raise Refused("invalid_request", f"{source.shown} cannot be moved onto itself")
    if target.path.startswith(f"{source.path}/"):
        raise Refused("invalid_request", f"{source.shown} cannot be moved into itself")
    found, before = await task.session.lstat(source.path), task.progress.source
    if found is None or (before is not None and not _alike(before, found)):
        await _moved_before(task, source, target)
        await end_replacement(task, target)
        if found is not None:
            task.notes.add(f"{source.shown} was left alone: {OTHER}")
    else:
        _check_not_root(source)
        await _move(task, operation, source, found, target)
    return Outcome(f"moved {source.shown} to {target.shown}", paths=(target.shown,))


async def _move(task: Task, operation: SftpMove, source: Place, found: RemoteFile, target: Place) -> None:
    there, again = await task.session.lstat(target.path), task.progress.source is not None
    if again and there and await has_both_names(task, source, target, seen_of(found), seen_of(there)):
        await leave_the_new_one(task, source, target, there.size)
        return
    if operation.overwrite == "fail" and there is not None:
        if there.kind == "folder":
            raise folder_in_the_way(target.shown)
        raise Refused("already_exists", f"{target.shown} is there already")
    if operation.make_folders:
        await task.places.make_folder_of(target)
    task.progress.source = seen_of(found)
    await task.beats.record()
    with _sure_of_refusals(task):
        if there is not None and seen_of(there) == seen_of(found):
            await _move_over_its_like(task, source, target)
        else:
            replace, size = operation.overwrite == "replace", found.size if found.kind == "file" else None
            await publish(task, source.path, target, 0, replace=replace, size=size, unfinished=False)


async def _move_over_its_like(task: Task, source: Place, target: Place) -> None:
    """Both names may be of one file, as where capitals are not told apart: nothing is removed to make place."""
    try:
        await task.session.rename(source.path, target.path, replace=True)
    except SftpError as error:
        if error.code not in ("unsupported", "already_exists"):
            raise
        told = f"{target.shown} is there, and may be {source.shown} itself: the server replaces no files in one step"
        raise Refused("already_exists", told, "choose another name") from None


async def _moved_before(task: Task, source: Place, target: Place) -> None:
    before = task.progress.source
    if before is None:
        raise Refused("not_found", f"there is no {source.shown}")
    found = await task.session.lstat(target.path)
    if found is None or not _alike(before, found):
        task.progress.source = None  # who decides to move it again has looked
        raise Refused("outcome_unknown", f"{source.shown} is gone, and {target.shown} is not what it was")


def _alike(before: Seen, found: RemoteFile) -> bool:
    """The size of a folder says nothing, and no time was kept of one that changes as what it holds is deleted."""
    if before.kind == "folder":
        return found.kind == "folder" and before.modified in (None, found.modified)
    return seen_of(found) == before


@contextmanager
def _sure_of_refusals(task: Task) -> Iterator[None]:
    """What the server has refused was not done: the next attempt does it to whatever has the name then."""
    try:
        yield
    except SftpError as error:
        if error.code not in UNSURE:
            task.progress.source = None
        raise
    except Refused:
        task.progress.source = None
        raise


async def delete(task: Task, operation: SftpDelete) -> Outcome:
    """Raises Refused, SftpError."""
    place = await task.places.resolve(operation.path)
    _check_not_root(place)
    found = await task.session.lstat(place.path)
    if found is None:
        if task.progress.source is not None:
            task.notes.add("it was gone when this attempt looked: an earlier one has deleted it")
        elif not operation.missing_ok:
            raise Refused("not_found", f"there is no {place.shown}")
        return Outcome(f"{place.shown} is gone", paths=(place.shown,))
    if task.progress.source is not None and not _alike(task.progress.source, found):
        task.notes.add(f"an earlier attempt has deleted {place.shown}: {OTHER}")
        return Outcome(f"deleted {place.shown}", paths=(place.shown,))
    task.progress.source = seen_of(found)
    if found.kind == "folder" and operation.recursive:
        task.progress.source = Seen(kind="folder")
    await task.beats.record()
    with _sure_of_refusals(task):
        await _delete(task, operation, place, found)
    return Outcome(f"deleted {place.shown}", paths=(place.shown,))


async def _delete(task: Task, operation: SftpDelete, place: Place, found: RemoteFile) -> None:
    if found.kind != "folder":
        await gone(task.session.remove(place.path))
        return
    if not operation.recursive:
        await gone(task.session.rmdir(place.path))
        return
    for _ in range(EMPTYINGS):
        try:
            await _delete_all(task, place)
            return
        except SftpError as error:
            if error.code != "not_empty":
                raise
            task.progress.source = Seen(kind="folder")
            await task.beats.record()  # else what came in would make it another folder to the next attempt
    raise Refused(
        "not_empty", f"new files come into {place.shown} all the time", "stop what writes there, then try again"
    )


async def _delete_all(task: Task, place: Place) -> None:
    await _empty(task, place)
    if (emptied := await task.session.lstat(place.path)) is not None:
        task.progress.source = seen_of(emptied)
        await task.beats.record()
    await gone(task.session.rmdir(place.path))


async def _empty(task: Task, top: Place) -> None:
    """From below; links are deleted themselves, and what they lead to is left alone."""
    entries, folders, level = Entries(task.session, top), [top], [top]
    for _ in range(MAX_DEPTH + 1):
        below: list[Place] = []
        for folder in level:
            for file in [file async for file in entries.of(folder)]:
                if file.refused is not None:
                    raise Refused("bad_name", f"{folder.shown} holds a name that {file.refused}: {file.name!r}")
                if file.kind == "folder":
                    below.append(folder.below(file.name))
                else:
                    await gone(task.session.remove(folder.below(file.name).path))
        folders += below
        level = below
    if level:
        raise Refused("too_many_entries", f"{top.shown} has folders more than {MAX_DEPTH} levels down")
    for folder in reversed(folders[1:]):
        await gone(task.session.rmdir(folder.path))


async def gone(removal: Coroutine[object, object, None]) -> None:
    """What is not there any more is deleted."""
    try:
        await removal
    except SftpError as error:
        if error.code != "not_found":
            raise


def _check_not_root(place: Place) -> None:
    if place.shown == ".":
        raise Refused("bad_path", "the account's root folder itself is not to be moved or deleted")

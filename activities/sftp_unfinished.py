"""What a run leaves on a server when it ends while no attempt is at it: found by the names that only this run gives.

What its attempts told may be lost, as when it is cancelled between two of them.
"""

import posixpath
from contextlib import aclosing

from activities.sftp_beside import UNREADABLE, checksum_of, checksum_part
from activities.sftp_places import Place, temporary_name
from activities.sftp_publish import part_of
from activities.sftp_sources import source_of
from activities.sftp_task import Task
from definitions.sftp import SftpCopy, SftpMove, SftpUpload
from net.sftp_errors import SftpError

LOOK_WITHIN = 5.0
"""Seconds in which folders are listed: in a large one that may take longer than there is time for all."""
_UNFINISHED, _ASIDE = ".part", ".old"


async def find_unfinished(task: Task) -> None:
    """Into `leftovers`: those that were told of first, then what folders hold. What is set aside, and has nothing in
    its place, gets its name back.

    Raises Refused, SftpError.
    """
    if not task.modes.rename:
        return
    for folder, stems in (await _ours(task)).items():
        for name in await _names(task, folder):
            if (found := _told(name, stems)) is not None:
                await _deal_with(task, posixpath.join(folder, name), *found)


async def _ours(task: Task) -> dict[str, dict[str, tuple[int, Place]]]:
    """By folder, how names begin there that only this run gives, with the file and its place. What was told of is put
    into `leftovers`."""
    ours: dict[str, dict[str, tuple[int, Place]]] = {}
    for index, target in await _targets(task):
        parts = [await part_of(task, target, index, attempt) for attempt in task.progress.begun]
        sums = [checksum_part(target, task.key(index), attempt) for attempt in task.progress.begun]
        if index in task.progress.files:
            task.leftovers[index] = tuple(place.path for place in (*parts, *sums))
        elsewhere = posixpath.dirname((await part_of(task, target, index)).path)
        for place in (target, checksum_of(target)):
            stem = temporary_name(place.name, task.key(index)).removesuffix(_UNFINISHED)
            for folder in {posixpath.dirname(place.path), elsewhere}:
                ours.setdefault(folder, {})[stem] = (index, place)
    return ours


async def _deal_with(task: Task, path: str, index: int, place: Place) -> None:
    known = task.leftovers.get(index, ())
    if path.endswith(_UNFINISHED):
        task.leftovers[index] = (*known, path) if path not in known else known
    elif place.path not in task.progress.aside:
        await _put_back(task, path, place)


async def _targets(task: Task) -> list[tuple[int, Place]]:
    match task.call.operation:
        case SftpUpload(files=files):
            named = [(index, each.path, source_of(task, each.source).name) for index, each in enumerate(files)]
        case SftpCopy(path=path, to=to) | SftpMove(path=path, to=to):
            named = [(0, to, (await task.places.resolve(path)).name)]
        case _:
            named = []
    left = [each for each in named if each[0] not in task.progress.done]
    return [(index, await task.places.resolve(path, name)) for index, path, name in left]


async def _names(task: Task, folder: str) -> list[str]:
    try:
        async with aclosing(task.session.list(folder)) as entries:
            return [file.name async for file in entries if file.name.endswith((_UNFINISHED, _ASIDE))]
    except SftpError as error:
        if error.code not in UNREADABLE | {"not_found"}:
            raise
        return []


def _told(name: str, stems: dict[str, tuple[int, Place]]) -> tuple[int, Place] | None:
    """Whose it is: the name ends with what tells the run, and in most cases the attempt."""
    stem, _, _ = name.rpartition(".")
    return stems.get(stem) or (stems.get(stem.rpartition(".")[0]) if name.endswith(_UNFINISHED) else None)


async def _put_back(task: Task, path: str, place: Place) -> None:
    """Where something has its name nobody knows any more whether that is what was to replace it."""
    try:
        if await task.session.lstat(place.path) is None:
            await task.session.rename(path, place.path, replace=False)
    except SftpError as error:
        if error.code not in UNREADABLE | {"not_found", "already_exists"}:
            raise

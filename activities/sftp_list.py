"""List: what a folder holds, in pages that do not depend on what is kept between them."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from activities.sftp_entries import MAX_DEPTH, Entries
from activities.sftp_judge import Refused
from activities.sftp_places import Place
from activities.sftp_task import Outcome, Task
from definitions.sftp import Entry, SftpList
from net.sftp_server import RemoteFile

SortKey = tuple[float, str]


async def list_folder(task: Task, operation: SftpList) -> Outcome:
    """One page. Raises Refused, SftpError."""
    after = _read_cursor(operation)
    folder = await task.places.resolve(operation.path)
    resolved, found = await task.places.follow(folder)
    if found is None:
        raise Refused("not_found", f"there is no folder {folder.shown}")
    if found.kind != "folder":
        raise Refused("not_a_directory", f"{folder.shown} is {found.what}")
    page: list[tuple[SortKey, Entry]] = []
    async for place, file in _walk(task, operation, resolved):
        key = _sort_key(operation, place, file)
        if _wanted(task, operation, file) and (after is None or _before(operation, after, key)):
            page.append((key, entry_of(place, file)))
            if len(page) > 4 * operation.limit:
                page = _first(operation, page)
    page = _first(operation, page)
    more = len(page) > operation.limit
    page = page[: operation.limit]
    return Outcome(
        message=_told(len(page), folder, more=more),
        paths=(folder.shown,),
        entries=tuple(entry for _, entry in page),
        next_cursor=_cursor(operation, page[-1][0]) if more else None,
    )


def _told(count: int, folder: Place, *, more: bool) -> str:
    entries = "1 entry" if count == 1 else f"{count} entries"
    return f"{entries} of {folder.shown}{', and there are more' if more else ''}"


def entry_of(place: Place, file: RemoteFile) -> Entry:
    """What a server says of a file, as results tell it."""
    return Entry(
        path=place.shown,
        name=place.name if place.shown != "." else ".",
        kind=file.kind,
        size=file.size if file.kind == "file" else None,
        modified=None if file.modified is None else datetime.fromtimestamp(file.modified, UTC),
        permissions=None if file.permissions is None else f"{file.permissions & 0o7777:04o}",
    )


async def _walk(task: Task, operation: SftpList, top: Place) -> AsyncIterator[tuple[Place, RemoteFile]]:
    """Links are told of and never followed: they may lead anywhere, and in circles."""
    entries, folders = Entries(task.session, top), [(top, 1)]
    while folders:
        folder, depth = folders.pop()
        async with aclosing(entries.of(folder)) as found:
            async for file in found:
                if file.refused is not None:
                    task.notes.add(f"left out, as the name {file.refused}: {file.name!r}")
                    continue
                place = folder.below(file.name)
                yield place, file
                if operation.recursive and file.kind == "folder":
                    folders.append((place, depth + 1))
        if folders and folders[-1][1] > MAX_DEPTH:
            folders = [each for each in folders if each[1] <= MAX_DEPTH]
            task.notes.add(f"folders more than {MAX_DEPTH} levels down were not looked into")


def _wanted(task: Task, operation: SftpList, file: RemoteFile) -> bool:
    if not fnmatchcase(file.name, operation.glob) or operation.kind not in ("any", file.kind):
        return False
    if file.modified is None:
        return operation.since is None
    if operation.since is not None and file.modified < operation.since.timestamp():
        return False
    if operation.min_age is None or file.kind == "folder":
        return True
    return file.modified <= (task.now() - operation.min_age).timestamp()


def _sort_key(operation: SftpList, place: Place, file: RemoteFile) -> SortKey:
    """By name is by the whole path, so that what is in one folder stays together; all others are told apart by it."""
    if operation.sort == "modified":
        return file.modified or 0.0, place.shown
    return (float(file.size or 0) if operation.sort == "size" else 0.0), place.shown


def _before(operation: SftpList, after: SortKey, key: SortKey) -> bool:
    return key < after if operation.descending else key > after


def _first(operation: SftpList, page: list[tuple[SortKey, Entry]]) -> list[tuple[SortKey, Entry]]:
    """One more than a page, so that it is known whether another follows."""
    page.sort(key=lambda item: item[0], reverse=operation.descending)
    return page[: operation.limit + 1]


def _cursor(operation: SftpList, last: SortKey) -> str:
    text = json.dumps([operation.sort, operation.descending, *last], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_cursor(operation: SftpList) -> SortKey | None:
    if operation.cursor is None:
        return None
    try:
        told: Any = json.loads(base64.urlsafe_b64decode(operation.cursor))
        sort, descending, value, path = told
    except (ValueError, TypeError, RecursionError):
        raise Refused("invalid_request", "the cursor is none that a listing has given") from None
    if (sort, descending) != (operation.sort, operation.descending):
        raise Refused("invalid_request", "the cursor belongs to a listing that is sorted in another way")
    if not isinstance(value, int | float) or not isinstance(path, str):
        raise Refused("invalid_request", "the cursor is none that a listing has given")
    return float(value), path

"""Download: a file becomes an asset, and only when that is safe is anything done about its source."""

import hashlib
import mimetypes
from asyncio import sleep
from contextlib import aclosing
from dataclasses import dataclass
from fnmatch import fnmatchcase

from activities.progress import Fetched, Seen
from activities.sftp_apart import Apart
from activities.sftp_entries import Entries
from activities.sftp_judge import Refused
from activities.sftp_places import Place, checked_name
from activities.sftp_resume import TAIL
from activities.sftp_task import SMALL, Outcome, Task, in_turn, outcome_of_files
from activities.sftp_twice import end_leaving, has_both_names, leave_the_new_one
from activities.streams import Draft
from definitions.asset import Asset
from definitions.plural import plural
from definitions.sftp import MAX_FILES, AfterDownload, SftpDownload, Transferred
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile

UNKNOWN_TYPE = "application/octet-stream"
SETTLED_AFTER = 2.0
"""Seconds after which a change shows in a file's time, also where that is told in steps of two seconds."""
CLOCKS_AGREE_WITHIN = 60.0
"""Seconds: the server's clock and ours."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file on the server."""

    place: Place
    path: str
    """Where its bytes are, if `place` is a link."""
    seen: Seen


async def download(task: Task, operation: SftpDownload) -> Outcome:
    """Raises Refused, SftpError, AssetStoreFull, AssetStoreUnavailable."""
    apart = Apart(task, operation)
    await _settle(task, operation, apart)
    wanted = await _wanted(task, operation, apart)

    async def one(file: Wanted) -> None:
        with apart.of(file.place.shown):
            await _fetch_and_settle(task, operation, file)

    await in_turn(((file, (file.seen.size or 0) <= SMALL) for file in wanted), one)
    failed = apart.end()
    fetched = sorted(task.progress.fetched.values(), key=lambda each: each.path)
    return outcome_of_files("fetched", tuple(_result(each) for each in fetched), failed)


async def _wanted(task: Task, operation: SftpDownload, apart: Apart) -> list[Wanted]:
    """What there is to fetch, without what earlier attempts have fetched."""
    places = [await task.places.resolve(path) for path in operation.paths]
    if operation.glob:
        places = [found for place in places for found in await _matching(task, operation, place)]
    left: dict[str, Place] = {place.shown: place for place in places if place.shown not in task.progress.fetched}
    room = MAX_FILES - len(task.progress.fetched)
    if len(left) > room:
        task.notes.add(f"{len(left) - room} more files match: a run fetches {MAX_FILES} at most")
    chosen, looked = list(left.values())[:room], dict[str, Wanted]()

    async def look(place: Place) -> None:
        before = looked.pop(place.shown, None)
        with apart.of(place.shown, first=True):
            found = await _look(task, operation, place)
            if before is not None and found.seen != before.seen:
                raise Refused("source_changed", f"{place.shown} is being changed")
            looked[place.shown] = found

    await in_turn(((place, True) for place in chosen), look)
    young = [each.place for each in looked.values() if _is_young(task, operation, each.seen)]
    if young:
        await sleep(SETTLED_AFTER)
        await in_turn(((place, True) for place in young), look)
    return [looked[place.shown] for place in chosen if place.shown in looked]


def _is_young(task: Task, operation: SftpDownload, seen: Seen) -> bool:
    """Whether it may change again and keep its time, which is told in whole seconds: that is waited for.

    What is to be deleted or moved must not depend on two clocks that agree to the second.
    """
    if seen.modified is None:
        return False
    age = task.now().timestamp() - seen.modified
    return age < (SETTLED_AFTER if operation.after is AfterDownload.KEEP else CLOCKS_AGREE_WITHIN)


async def _matching(task: Task, operation: SftpDownload, pattern: Place) -> list[Place]:
    """Files only, and none that is hidden unless the pattern says so: they may be unfinished."""
    folder, found = Place(pattern.shown.rpartition("/")[0] or ".", pattern.path.rpartition("/")[0] or "/"), []
    async for file in Entries(task.session, folder).of(folder):
        if not fnmatchcase(file.name, pattern.name) or file.kind != "file":
            continue
        if file.name.startswith(".") and not pattern.name.startswith("."):
            continue
        if (reason := file.refused or _unfit(file.name)) is not None:
            task.notes.add(f"left alone, as the name {reason}: {file.name!r}")
        elif _old_enough(task, operation, file):
            found.append(pattern.beside(file.name))
    return sorted(found, key=lambda place: place.name)


def _unfit(name: str) -> str | None:
    try:
        checked_name(name)
    except Refused:
        return "cannot be one here"
    return None


def _old_enough(task: Task, operation: SftpDownload, file: RemoteFile) -> bool:
    if operation.min_age is None or file.modified is None:
        return True
    return file.modified <= (task.now() - operation.min_age).timestamp()


async def _look(task: Task, operation: SftpDownload, place: Place) -> Wanted:
    checked_name(place.name)
    followed, found = await task.places.follow(place)
    if found is None:
        raise Refused("not_found", f"there is no file {place.shown}")
    if found.kind != "file":
        raise Refused("not_a_file", f"{place.shown} is {found.what}")
    _check_size(operation, place, found.size or 0)
    if operation.move_to is not None:
        await task.places.resolve(operation.move_to, place.name)  # what cannot be moved is not fetched either
    return Wanted(place, followed.path, seen_of(found))


def _check_size(operation: SftpDownload, place: Place, size: int) -> None:
    if size > operation.max_bytes:
        raise Refused(
            "too_large", f"{place.shown} has {plural(size, 'byte')} or more: max_bytes is {operation.max_bytes}"
        )


async def _fetch_and_settle(task: Task, operation: SftpDownload, file: Wanted) -> None:
    asset, resumed_from = await _fetch(task, operation, file)
    fetched = Fetched(path=file.place.shown, asset=asset, source=file.seen, resumed_from=resumed_from)
    task.progress.fetched[fetched.path] = fetched
    if operation.after is not AfterDownload.KEEP:
        # What is done to the source next cannot be told from the server alone when this attempt is lost.
        await task.beats.record()
    await _deal_with_source(task, operation, fetched)


async def _fetch(task: Task, operation: SftpDownload, file: Wanted) -> tuple[Asset, int]:
    async with task.assets.draft(_draft_key(task, file), task.holder) as draft:
        start = await _go_on_at(task, draft, file)
        await draft.check_room((file.seen.size or 0) - start)
        async with aclosing(task.session.read(file.path, start)) as chunks:
            async for chunk in chunks:
                _check_size(operation, file.place, draft.size + len(chunk))
                await draft.append(chunk)
                task.progress.received += len(chunk)
        await _check_whole(task, operation, draft, file)
        name = file.place.name
        media_type = operation.media_type or mimetypes.guess_type(name)[0] or UNKNOWN_TYPE
        return await draft.commit(name=name, media_type=media_type, holder=task.holder), start


def _draft_key(task: Task, file: Wanted) -> str:
    """Another one when the source changes: what was fetched of it before belongs to nothing then."""
    text = f"{task.call.idempotency_key}/{file.place.shown}/{file.seen.size}/{file.seen.modified}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


async def _go_on_at(task: Task, draft: Draft, file: Wanted) -> int:
    """Behind what an earlier attempt has fetched, if its end is what the server has there."""
    if draft.size > (file.seen.size or 0):
        await draft.rewind(0)
    tail = min(TAIL, draft.size)
    start = draft.size - tail
    if tail and await task.session.read_range(file.path, start, tail) != await draft.read(start, tail):
        await draft.rewind(0)
    return draft.size


async def _check_whole(task: Task, operation: SftpDownload, draft: Draft, file: Wanted) -> None:
    found = await task.session.stat(file.path)
    if found is None or seen_of(found) != file.seen or draft.size != (file.seen.size or 0):
        await draft.discard()
        raise Refused("source_changed", f"{file.place.shown} changed while it was fetched")
    if operation.sha256 is not None and await draft.sha256() != operation.sha256:
        await draft.discard()
        raise Refused("checksum_mismatch", f"{file.place.shown} has another SHA-256 than it should")


async def _settle(task: Task, operation: SftpDownload, apart: Apart) -> None:
    """What an earlier attempt has fetched, and may not have deleted or moved."""
    for fetched in [each for each in task.progress.fetched.values() if not each.ended]:
        with apart.of(fetched.path):
            await _deal_with_source(task, operation, fetched, again=True)


async def _deal_with_source(task: Task, operation: SftpDownload, fetched: Fetched, *, again: bool = False) -> None:
    if operation.after is not AfterDownload.KEEP:
        place = await task.places.resolve(escaped(fetched.path))
        found = await task.session.lstat(place.path)
        if found is None:
            # Done by an attempt that was lost, and nothing is missing: the asset is safe.
            if operation.move_to is not None:
                await end_leaving(task, await task.places.resolve(operation.move_to, place.name))
        elif found.kind != "link" and seen_of(found) != fetched.source:
            task.notes.add(f"{fetched.path} was left on the server: another file has its name now")
        elif operation.after is AfterDownload.DELETE:
            await _delete(task, place)
        else:
            await _move(task, operation, place, fetched.source if again else None)
    task.progress.fetched[fetched.path] = fetched.model_copy(update={"ended": True})


async def _delete(task: Task, place: Place) -> None:
    try:
        await task.session.remove(place.path)
    except SftpError as error:
        if error.code != "not_found":
            raise


async def _move(task: Task, operation: SftpDownload, place: Place, before: Seen | None) -> None:
    """`before`: what an earlier attempt may have begun to move."""
    assert operation.move_to is not None, "the operation was checked"
    target = await task.places.resolve(operation.move_to, place.name)
    await task.places.make_folder_of(target)
    if (there := await task.session.lstat(target.path)) is not None:
        if before is not None and await has_both_names(task, place, target, before, seen_of(there)):
            await leave_the_new_one(task, place, target, there.size)
            return
        raise Refused("already_exists", f"{place.shown} was fetched, and cannot be moved: {target.shown} is there")
    await task.session.rename(place.path, target.path, replace=False)


def seen_of(file: RemoteFile) -> Seen:
    """What is remembered of a file."""
    return Seen(kind=file.kind, size=file.size, modified=file.modified)


def escaped(path: str) -> str:
    """A path that was rendered, as a template of itself: a name on a server may begin with ~."""
    return "./" + path.replace("{", "{{").replace("}", "}}")


def _result(fetched: Fetched) -> Transferred:
    asset = fetched.asset
    return Transferred(
        path=fetched.path,
        bytes=asset.size,
        sha256=asset.sha256,
        resumed_from=fetched.resumed_from,
        asset=asset,
        verified="size",
    )

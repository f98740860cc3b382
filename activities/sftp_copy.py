"""Copy a file on its server: by the server itself where it offers that, else through here; whole when it is seen."""

from contextlib import aclosing

from activities.progress import FileProgress, Phase
from activities.sftp_download import seen_of
from activities.sftp_judge import Refused, folder_in_the_way
from activities.sftp_places import Place
from activities.sftp_publish import content_hash, end_replacement, part_of, publish
from activities.sftp_resume import Step, next_step
from activities.sftp_task import Outcome, Task, outcome_of_files
from definitions.sftp import Overwrite, SftpCopy, Transferred
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile


async def copy(task: Task, operation: SftpCopy) -> Outcome:
    """Raises Refused, SftpError."""
    source = await task.places.resolve(operation.path)
    target = await task.places.resolve(operation.to, source.name)
    part = await part_of(task, target, 0)
    if part != target and 0 in task.progress.files:
        task.leftovers[0] = (part.path,)
    source, found = await task.places.follow(source)
    if found is None:
        raise Refused("not_found", f"there is no file {source.shown}")
    if found.kind != "file":
        raise Refused("not_a_file", f"{source.shown} is a {found.kind}")
    if part == target:
        part = target = (await task.places.follow(target))[0]
    if source.path == target.path:
        raise Refused("invalid_request", f"{source.shown} cannot be copied onto itself")
    step = await _step(task, operation, found, part, target)
    result = Transferred(path=target.shown, bytes=found.size or 0, verified="size")
    if step is Step.COMPARE_TO_SKIP and await _same(task, source, target):
        result = result.model_copy(update={"skipped": True, "verified": "read_back"})
    elif step is Step.DONE:
        await end_replacement(task, target)
    else:
        await _copy(task, operation, source, found, part, target)
    return outcome_of_files("copied to", (result,))


async def _step(task: Task, operation: SftpCopy, found: RemoteFile, part: Place, target: Place) -> Step:
    final = await task.session.lstat(target.path)
    if final is not None and final.kind == "folder":
        raise folder_in_the_way(target.shown)
    before = task.progress.files.get(0)
    replace = operation.overwrite is Overwrite.REPLACE
    if part == target and replace and before is None and final is not None and seen_of(final) == seen_of(found):
        # It may be the source, as where capitals are not told apart: writing it would empty that.
        told = f"{target.shown} is there, and may be the source itself"
        raise Refused("already_exists", told, "choose another name")
    step = next_step(
        before,
        part=part != target and await task.session.lstat(part.path) is not None,
        final=None if final is None else final.size or 0,
        size=found.size,
        overwrite=operation.overwrite,
        moves_on_arrival=task.modes.moves_on_arrival,
    )
    if step is Step.COMPARE_BOTH:
        if await _same(task, part, target):
            await task.session.remove(part.path)
            return Step.DONE
        step = Step.REFUSE if operation.overwrite is Overwrite.FAIL else Step.WRITE
    if step is Step.REFUSE and not (part == target and before is not None):
        raise Refused("already_exists", f"{target.shown} is there already")
    if step is Step.ASK:
        del task.progress.files[0]  # who decides to copy it again has looked
        other = "is not what was copied, and its unfinished file is gone"
        told = "and its unfinished file are both gone" if final is None else other
        raise Refused("outcome_unknown", f"{target.shown} {told}")
    # What an earlier attempt was about to rename, and is not there any more, has the name now.
    return Step.DONE if step is Step.COMPARE_AS_OURS else step


async def _copy(task: Task, operation: SftpCopy, source: Place, found: RemoteFile, part: Place, target: Place) -> None:
    if operation.make_folders:
        await task.places.make_folder_of(target)
        await task.places.make_folder_of(part)
    task.leftovers[0] = (part.path,)
    task.progress.files[0] = FileProgress(phase=Phase.WRITING, size=found.size)
    there = await task.session.lstat(part.path) is not None
    if part == target:
        await task.beats.record()
    elif there:
        await task.session.remove(part.path)
    await task.beats.fence()
    try:
        await _write(task, source, part, exclusive=part != target or not there)
    except SftpError as error:
        if error.code == "already_exists" and part == target:
            del task.leftovers[0]  # somebody else's
        raise
    await _check(task, source, found, part)
    task.progress.files[0] = FileProgress(phase=Phase.PUBLISHING, size=found.size)
    await task.beats.record()
    if part != target:
        replace = operation.overwrite is not Overwrite.FAIL
        await publish(task, part.path, target, 0, replace=replace, size=found.size)
    del task.leftovers[0]


async def _write(task: Task, source: Place, part: Place, *, exclusive: bool) -> None:
    """`exclusive`: what came to be there meanwhile may be a link, which would lead it elsewhere."""
    if await task.session.copy(source.path, part.path, exclusive=exclusive):
        return
    async with aclosing(task.session.read(source.path)) as chunks:
        await task.session.write(part.path, chunks, exclusive=exclusive)
    task.notes.add("the server copies nothing itself: the content went through here")


async def _check(task: Task, source: Place, found: RemoteFile, part: Place) -> None:
    now, copied = await task.session.stat(source.path), await task.session.stat(part.path)
    if now is None or seen_of(now) != seen_of(found) or copied is None or copied.size != found.size:
        raise Refused("source_changed", f"{source.shown} changed while it was copied")


async def _same(task: Task, source: Place, target: Place) -> bool:
    return await content_hash(task.session, source.path) == await content_hash(task.session, target.path)

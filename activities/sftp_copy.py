"""Copy a file on its server: by the server itself where it offers that, else through here; whole when it is seen."""

import hashlib
from contextlib import aclosing
from dataclasses import dataclass

from activities.chunks import hashed
from activities.progress import FileProgress, Phase
from activities.sftp_download import seen_of
from activities.sftp_judge import Refused, folder_in_the_way
from activities.sftp_places import Place
from activities.sftp_publish import content_hash, end_replacement, part_of, publish, remove_quietly
from activities.sftp_resume import Step, next_step, when_not_ours
from activities.sftp_task import Outcome, Task, outcome_of_files
from activities.sftp_upload_plan import Vanished, vanished
from definitions.sftp import Overwrite, SftpCopy, Transferred
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile


@dataclass(frozen=True, slots=True)
class Plan:
    """What is copied, where it goes, and where it is until it is whole: in a file of this attempt's own, so that one
    that was given up, and works nevertheless, finds nothing that it could publish."""

    source: Place
    found: RemoteFile
    target: Place
    part: Place
    earlier: tuple[Place, ...]
    """Where the attempts before this one wrote it, the newest first."""

    @property
    def in_place(self) -> bool:
        return self.part == self.target


async def copy(task: Task, operation: SftpCopy) -> Outcome:
    """Raises Refused, SftpError."""
    try:
        result = await _copied(task, operation)
    except Vanished:
        result = await _copied(task, operation)  # both names tell what has become of it
    return outcome_of_files("copied to", (result,))


async def _copied(task: Task, operation: SftpCopy) -> Transferred:
    plan = await _plan(task, operation)
    before = task.progress.files.get(0)
    step, sha256 = await _step(task, operation, plan, before)
    if step is Step.DONE and before is not None:
        await end_replacement(task, plan.target)
        done = before
    elif step is Step.COMPARE_TO_SKIP:
        done = FileProgress(phase=Phase.PUBLISHING, size=plan.found.size, sha256=sha256, verified="read_back")
    else:
        return _result(plan, await _copy(task, operation, plan, before))
    for place in plan.earlier:
        await remove_quietly(task.session, place.path)
    return _result(plan, done, skipped=step is Step.COMPARE_TO_SKIP)


async def _plan(task: Task, operation: SftpCopy) -> Plan:
    source = await task.places.resolve(operation.path)
    target = await task.places.resolve(operation.to, source.name)
    part = await part_of(task, target, 0, task.beats.attempt)
    before = task.attempts_before if part != target else ()
    earlier = tuple([await part_of(task, target, 0, attempt) for attempt in before])
    if earlier:
        task.leftovers[0] = tuple(place.path for place in earlier)
    source, found = await task.places.follow(source)
    if found is None:
        raise Refused("not_found", f"there is no file {source.shown}")
    if found.kind != "file":
        raise Refused("not_a_file", f"{source.shown} is {found.what}")
    if part == target:
        part = target = (await task.places.follow(target))[0]
    if source.path == target.path:
        raise Refused("invalid_request", f"{source.shown} cannot be copied onto itself")
    return Plan(source, found, target, part, earlier)


async def _step(task: Task, operation: SftpCopy, plan: Plan, before: FileProgress | None) -> tuple[Step, str | None]:
    """DONE, COMPARE_TO_SKIP with the hash of what is there, or WRITE."""
    final = await task.session.lstat(plan.target.path)
    if final is not None:
        _check_target(operation, plan, before, final)
    elif _is_taken(task, plan, before):
        return Step.DONE, None
    part = await _part_before(task, plan, before)
    step = next_step(
        before,
        part=part is not None,
        final=None if final is None else final.size or 0,
        size=plan.found.size,
        overwrite=operation.overwrite,
        moves_on_arrival=task.modes.moves_on_arrival,
    )
    if step is Step.COMPARE_TO_SKIP:
        sha256 = await _same(task, plan.source, plan.target)
        return (step, sha256) if sha256 is not None else (Step.WRITE, None)
    if step is Step.COMPARE_BOTH and part is not None:
        if await _same(task, part, plan.target) is not None:
            await remove_quietly(task.session, part.path)
            return Step.DONE, None
        step = Step.REFUSE if operation.overwrite is Overwrite.FAIL else Step.WRITE
    if step is Step.COMPARE_AS_OURS and before is not None:
        other = Step.WRITE if plan.in_place else when_not_ours(operation.overwrite)
        step = Step.DONE if await _is_ours(task, plan, before) else other
    if step is Step.REFUSE and not (plan.in_place and before is not None):
        raise Refused("already_exists", f"{plan.target.shown} is there already")
    if step is Step.ASK:
        del task.progress.files[0]  # who decides to copy it again has looked
        other_told = "is not what was copied, and its unfinished file is gone"
        told = "and its unfinished file are both gone" if final is None else other_told
        raise Refused("outcome_unknown", f"{plan.target.shown} {told}")
    return step if step is Step.DONE else Step.WRITE, None


def _check_target(operation: SftpCopy, plan: Plan, before: FileProgress | None, final: RemoteFile) -> None:
    """Raises Refused."""
    if final.kind == "folder":
        raise folder_in_the_way(plan.target.shown)
    replace = operation.overwrite is Overwrite.REPLACE
    if plan.in_place and replace and before is None and seen_of(final) == seen_of(plan.found):
        # It may be the source, as where capitals are not told apart: writing it would empty that.
        told = f"{plan.target.shown} is there, and may be the source itself"
        raise Refused("already_exists", told, "choose another name")


def _is_taken(task: Task, plan: Plan, before: FileProgress | None) -> bool:
    """Whether the server took it away when an earlier attempt closed it. Raises Refused: it may have a part of it."""
    if before is None or not (plan.in_place and task.modes.moves_on_arrival):
        return False
    if before.phase is Phase.WRITING:
        del task.progress.files[0]  # who decides to copy it again has looked
        raise Refused("outcome_unknown", f"{plan.target.shown} is gone before it was whole")
    return True


async def _part_before(task: Task, plan: Plan, before: FileProgress | None) -> Place | None:
    """The unfinished file that was about to be published, if it is there."""
    if plan.in_place or before is None:
        return None
    part = await part_of(task, plan.target, 0, before.part)
    return part if await task.session.lstat(part.path) is not None else None


async def _copy(task: Task, operation: SftpCopy, plan: Plan, before: FileProgress | None) -> FileProgress:
    if operation.make_folders:
        await task.places.make_folder_of(plan.target)
        await task.places.make_folder_of(plan.part)
    task.leftovers[0] = (plan.part.path, *(place.path for place in plan.earlier))
    writing = FileProgress(phase=Phase.WRITING, part=task.beats.attempt, size=plan.found.size)
    # What came to be there meanwhile may be a link, which would lead elsewhere what is written.
    exclusive = not plan.in_place or await task.session.lstat(plan.part.path) is None
    task.progress.files[0] = writing
    await _begin(task, plan, before)
    try:
        sha256 = await _write(task, plan, exclusive=exclusive)
    except SftpError as error:
        if error.code == "already_exists" and plan.in_place:
            del task.leftovers[0], task.progress.files[0]  # somebody else's
        raise
    await _check(task, plan)
    now = {"phase": Phase.PUBLISHING, "sha256": sha256, "verified": "size" if sha256 is None else "acknowledged"}
    done = task.progress.files[0] = writing.model_copy(update=now)
    await task.beats.record()
    if not plan.in_place:
        replace = operation.overwrite is not Overwrite.FAIL
        try:
            await publish(task, plan.part.path, plan.target, 0, replace=replace, size=plan.found.size)
        except SftpError as error:
            raise vanished(error) from None
    del task.leftovers[0]
    return done


async def _begin(task: Task, plan: Plan, before: FileProgress | None) -> None:
    """Temporal knows of this attempt before it makes anything, and those before find nothing of theirs any more."""
    if plan.in_place:
        await task.beats.record()
        return
    await task.beats.begin()
    published = before is not None and before.phase is Phase.PUBLISHING
    for place, attempt in zip(plan.earlier, task.attempts_before, strict=True):
        if not await _removed(task, place) and published and before is not None and attempt == before.part:
            task.progress.files[0] = before  # it was there a moment ago, and has been published since
            raise Vanished("not_found", f"{place.shown} is gone")
    await task.beats.fence()


async def _removed(task: Task, place: Place) -> bool:
    """False: there was nothing to be removed."""
    try:
        await task.session.remove(place.path)
    except SftpError as error:
        if error.code != "not_found":
            raise
        return False
    return True


async def _write(task: Task, plan: Plan, *, exclusive: bool) -> str | None:
    """SHA-256 of what went through here."""
    if not plan.in_place:
        task.unsure.add(plan.part.path)
    sha256 = None
    if not await task.session.copy(plan.source.path, plan.part.path, exclusive=exclusive):
        read = hashlib.sha256()
        async with aclosing(task.session.read(plan.source.path)) as chunks:
            await task.session.write(plan.part.path, hashed(chunks, read), exclusive=exclusive)
        task.notes.add("the server copies nothing itself: the content went through here")
        sha256 = read.hexdigest()
    if task.beats.is_stale:
        await task.beats.record()  # one that was given up before it made this file removes it: no other knows of it
    task.unsure.discard(plan.part.path)
    return sha256


async def _check(task: Task, plan: Plan) -> None:
    now, copied = await task.session.stat(plan.source.path), await task.session.stat(plan.part.path)
    unchanged = now is not None and seen_of(now) == seen_of(plan.found)
    taken = copied is None and plan.in_place and task.modes.moves_on_arrival
    if not unchanged or not (taken or (copied is not None and copied.size == plan.found.size)):
        raise Refused("source_changed", f"{plan.source.shown} changed while it was copied")


async def _is_ours(task: Task, plan: Plan, before: FileProgress) -> bool:
    """Whether what has the final name is what an earlier attempt was about to give it: its size proves nothing."""
    if before.sha256 is None:
        return await _same(task, plan.source, plan.target) is not None
    return (await content_hash(task.session, plan.target.path))[0] == before.sha256


async def _same(task: Task, one: Place, other: Place) -> str | None:
    """The hash of both, if it is one."""
    (here, _), (there, _) = await content_hash(task.session, one.path), await content_hash(task.session, other.path)
    return here if here == there else None


def _result(plan: Plan, done: FileProgress, *, skipped: bool = False) -> Transferred:
    return Transferred.model_validate(
        {
            "path": plan.target.shown,
            "bytes": done.size or 0,
            "sha256": done.sha256,
            "verified": done.verified or "size",
            "skipped": skipped,
        }
    )

"""Upload: every file is seen under its final name when it is whole, and not before."""

from collections.abc import Sequence

from activities.progress import Phase, Progress
from activities.sftp_beside import checksum_of
from activities.sftp_judge import Refused
from activities.sftp_looks import Looks
from activities.sftp_places import Place
from activities.sftp_publish import part_of, remove_quietly
from activities.sftp_sources import UploadSource, source_of
from activities.sftp_task import SMALL, Outcome, Task, in_turn, outcome_of_files
from activities.sftp_upload_file import FileUpload
from activities.sftp_upload_plan import Plan, earlier_files, unfinished_files
from definitions.asset import MAX_NAME_BYTES
from definitions.sftp import FileToUpload, SftpUpload, Transferred, Verify

IN_PLACE = "the server renames nothing, so a file was seen under its final name before it was whole"


async def upload(task: Task, operation: SftpUpload) -> Outcome:
    """Raises Refused, SftpError, and what sources raise."""
    plans = [await _plan(task, operation, index, file) for index, file in enumerate(operation.files)]
    _check_targets(operation, plans)
    if not task.modes.rename:
        task.notes.add(IN_PLACE)

    left = [plan for plan in plans if plan.index not in task.progress.done]
    looks = Looks(task.session)
    await looks.prepare(path for plan in left for path in _names(plan))

    for plan in left:
        if _is_begun(task, plan, looks):
            task.leftovers[plan.index] = unfinished_files(task, operation, plan)

    async def one(plan: Plan) -> None:
        result = await FileUpload(task, operation, plan, looks).run()
        task.leftovers.pop(plan.index, None)
        usual = result == _usual(operation, plan.source, plan.target)
        task.progress.end(plan.index, None if usual else result)

    await in_turn(((plan, _is_small(plan.source)) for plan in left), one)
    await _sweep(task, operation, left)
    files = tuple(_ended(task.progress, operation, plan) for plan in plans)
    if 0 < (skipped := sum(each.skipped for each in files)) < len(files):
        task.notes.add(f"{skipped} of {len(files)} files were there already, with the same content")
    return outcome_of_files("sent", files)


def _names(plan: Plan) -> set[str]:
    return {plan.target.path, *(part.path for part in plan.earlier)}


async def _sweep(task: Task, operation: SftpUpload, plans: Sequence[Plan]) -> None:
    """An attempt that was stopped and went on after this one had looked has left something that nobody continues."""
    names = [path for plan in plans for path in earlier_files(operation, plan)]
    looks = Looks(task.session)
    await looks.prepare(names)
    for name in names:
        if looks.may_hold(name) and not await remove_quietly(task.session, name):
            task.notes.add(f"an unfinished file of an earlier attempt could not be removed, and stays: {name}")


def _is_begun(task: Task, plan: Plan, looks: Looks) -> bool:
    """Whether an earlier attempt may have left something of it that is ours to remove."""
    before = task.progress.files.get(plan.index)
    if plan.in_place:
        return before is not None and before.phase is Phase.WRITING
    return before is not None or any(looks.may_hold(part.path) for part in plan.earlier)


async def _plan(task: Task, operation: SftpUpload, index: int, file: FileToUpload) -> Plan:
    source = source_of(task, file.source)
    target = await task.places.resolve(file.path, source.name)
    if target.shown == ".":
        raise Refused("bad_path", f"{file.path!r} is the root folder: end it with a slash to send files into it")
    if operation.checksum_file and len(checksum_of(target).name.encode()) > MAX_NAME_BYTES:
        told = f"the checksum of {target.shown} would have a name of more than {MAX_NAME_BYTES} bytes"
        raise Refused("bad_path", told, "give the file a shorter name, or leave the checksum out")
    part = await part_of(task, target, index, task.beats.attempt)
    before = () if part == target else task.attempts_before
    return Plan(index, source, target, part, task.key(index), before, await _marker(task, operation, target))


async def _marker(task: Task, operation: SftpUpload, target: Place) -> Place | None:
    """Beside the file, unless it says a folder of its own."""
    template = operation.marker_file
    if template is None:
        return None
    rendered = await task.places.resolve(template, target.name)
    return rendered if "/" in template else target.beside(rendered.name)


def _check_targets(operation: SftpUpload, plans: Sequence[Plan]) -> None:
    taken: set[str] = set()
    for plan in plans:
        if plan.target.path in taken:
            raise Refused("invalid_request", f"two files of the run are to become {plan.target.shown}")
        taken.add(plan.target.path)
    for plan in plans:
        checksum = checksum_of(plan.target) if operation.checksum_file else None
        for place in filter(None, (checksum, plan.marker)):
            if place.path in taken:
                told = f"{place.shown}, a checksum or marker, has the name of another file of the run"
                raise Refused("invalid_request", told)
            taken.add(place.path)


def _is_small(source: UploadSource) -> bool:
    return source.size is not None and source.size <= SMALL


def _usual(operation: SftpUpload, source: UploadSource, target: Place) -> Transferred:
    """What follows from the operation, for a file that went up in one go: the progress need not hold it."""
    told = {Verify.AUTO: "acknowledged", Verify.SIZE: "size", Verify.READ_BACK: "read_back"}[operation.verify]
    return Transferred.model_validate(
        {"path": target.shown, "bytes": source.size or 0, "sha256": source.sha256, "verified": told}
    )


def _ended(progress: Progress, operation: SftpUpload, plan: Plan) -> Transferred:
    return progress.results.get(plan.index) or _usual(operation, plan.source, plan.target)

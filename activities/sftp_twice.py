"""A file that has its old name and its new one: some servers rename by a second link, and may end before they remove
the first."""

from activities.progress import Aside, Seen
from activities.sftp_judge import UNSURE
from activities.sftp_places import Place, temporary_name
from activities.sftp_publish import content_hash, end_replacement
from activities.sftp_task import Task
from net.sftp_errors import SftpError


async def has_both_names(task: Task, source: Place, target: Place, before: Seen, there: Seen) -> bool:
    """Whether what an earlier attempt was about to move has the new name already. Raises SftpError."""
    if before.kind != "file" or there != before:
        return False
    return await content_hash(task.session, source.path) == await content_hash(task.session, target.path)


async def leave_the_new_one(task: Task, source: Place, target: Place, size: int | None) -> None:
    """The old name goes in a way that loses no file: both may be one name, as where capitals are not told apart.

    Raises Refused, SftpError.
    """
    path = target.beside(f"{temporary_name(target.name, task.key(0)).removesuffix('.part')}.old").path
    aside = Aside(index=0, shown=target.shown, path=path, new=source.path, size=size, unfinished=False)
    task.progress.aside[target.path] = aside
    await task.beats.record()
    await task.beats.fence()
    try:
        await task.session.rename(source.path, path, replace=False)
    except SftpError as error:
        if error.code not in UNSURE:
            del task.progress.aside[target.path]
        raise
    await end_leaving(task, target)


async def end_leaving(task: Task, target: Place) -> None:
    """The same where the old name is gone, by an attempt that was lost then."""
    aside = task.progress.aside.get(target.path)
    if aside is not None and await task.session.lstat(target.path) is None:
        await task.session.rename(aside.path, target.path, replace=False)
    await end_replacement(task, target)

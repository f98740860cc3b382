"""One file of an upload: where it goes, where it is until it is whole, and what is left of it by earlier attempts."""

from dataclasses import dataclass

from activities.progress import FileProgress, Piece
from activities.sftp_beside import checksum_part
from activities.sftp_places import Place
from activities.sftp_sources import UploadSource
from activities.sftp_task import Task
from definitions.sftp import SftpUpload, Transferred
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile


@dataclass(frozen=True, slots=True)
class Plan:
    """One file, where it goes, and where it is until it is whole. Without rename that is the same place."""

    index: int
    source: UploadSource
    target: Place
    part: Place
    earlier: tuple[Place, ...]
    """Where the attempts before this one wrote it, the newest first."""
    marker: Place | None

    @property
    def in_place(self) -> bool:
        return self.part == self.target


@dataclass(frozen=True, slots=True)
class Left:
    """What there is of an unfinished file, and the attempt that wrote it."""

    place: Place
    file: RemoteFile
    attempt: str


class Vanished(SftpError):
    """The unfinished file is gone just when it was to be renamed: another attempt took it, or has published it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one pass over the source brought. `sha256` of the whole, if it is known; `rest` of what was sent now.

    `earlier`: what attempts before sent, where nothing else tells what it was to be.
    """

    size: int
    start: int
    sha256: str | None
    rest: str
    earlier: tuple[Piece, ...]
    shared: bool
    """An earlier attempt may still write to the same file."""


def unfinished_files(task: Task, operation: SftpUpload, plan: Plan) -> tuple[str, ...]:
    """What is not to stay when nobody goes on with this file."""
    return plan.part.path, *_checksums(task, operation, plan, task.beats.attempt), *earlier_files(task, operation, plan)


def earlier_files(task: Task, operation: SftpUpload, plan: Plan) -> tuple[str, ...]:
    """The same without those of this attempt."""
    parts = (part.path for part in plan.earlier)
    return (*parts, *_checksums(task, operation, plan, *(task.attempts_before if plan.earlier else ())))


def _checksums(task: Task, operation: SftpUpload, plan: Plan, *attempts: str) -> tuple[str, ...]:
    if not operation.checksum_file:
        return ()
    return tuple(checksum_part(plan.target, task.key(plan.index), each).path for each in attempts)


def vanished(error: SftpError) -> SftpError:
    return Vanished(error.code, str(error)) if error.code == "not_found" else error


def result_of(plan: Plan, done: FileProgress) -> Transferred:
    return Transferred.model_validate(
        {
            "path": plan.target.shown,
            "bytes": done.size or 0,
            "sha256": done.sha256,
            "resumed_from": done.resumed_from,
            "verified": done.verified,
        }
    )

"""One file of an upload: where it goes, where it is until it is whole, and what is left of it by earlier attempts."""

from collections.abc import Iterator
from dataclasses import dataclass

from activities.progress import FileProgress, Piece
from activities.sftp_beside import checksum_part
from activities.sftp_places import Place, temporary_name
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
    key: str
    attempts_before: tuple[str, ...]
    """The attempts before this one that may have written it, the newest first."""
    marker: Place | None

    @property
    def in_place(self) -> bool:
        return self.part == self.target

    @property
    def earlier(self) -> Iterator[Place]:
        """Where those wrote it."""
        return (self.part_of(attempt) for attempt in self.attempts_before)

    def part_of(self, attempt: str) -> Place:
        """Where an attempt writes it until it is whole."""
        return self.part if self.in_place else self.part.beside(temporary_name(self.target.name, self.key, attempt))


@dataclass(frozen=True, slots=True)
class Left:
    """What there is of an unfinished file, and the attempt that wrote it."""

    place: Place
    file: RemoteFile
    attempt: str


class Vanished(SftpError):
    """The unfinished file is gone just when it was to be renamed: another attempt took it, or has published it."""


class Held(Exception):
    """The unfinished file of an earlier attempt cannot be taken over, as where its lost session still has it open."""


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
    return plan.part.path, *_checksums(operation, plan, task.beats.attempt), *earlier_files(operation, plan)


def earlier_files(operation: SftpUpload, plan: Plan) -> tuple[str, ...]:
    """The same without those of this attempt."""
    parts = (part.path for part in plan.earlier)
    return (*parts, *_checksums(operation, plan, *plan.attempts_before))


def _checksums(operation: SftpUpload, plan: Plan, *attempts: str) -> tuple[str, ...]:
    if not operation.checksum_file:
        return ()
    return tuple(checksum_part(plan.target, plan.key, each).path for each in attempts)


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

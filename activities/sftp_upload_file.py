"""One file on its way up: begun or gone on with, compared with its source, and only then given its final name."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from activities.chunks import hashed, split
from activities.progress import FileProgress, Phase
from activities.sftp_beside import (
    UNREADABLE,
    checksum_of,
    checksum_part,
    publish_checksum,
    publish_marker,
    withdraw_checksum,
)
from activities.sftp_judge import Refused, folder_in_the_way
from activities.sftp_looks import Looks
from activities.sftp_places import Place
from activities.sftp_publish import content_hash, publish, remove_quietly
from activities.sftp_resume import TAIL, Step, next_step, resume_offset
from activities.sftp_sources import Opened, UploadSource
from activities.sftp_task import Task
from definitions.sftp import Overwrite, SftpUpload, Transferred, Verify
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile

Verified = Literal["read_back", "acknowledged", "size", "none"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One file, where it goes, and where it is until it is whole. Without rename that is the same place."""

    index: int
    source: UploadSource
    target: Place
    part: Place
    marker: Place | None

    @property
    def in_place(self) -> bool:
        return self.part == self.target


@dataclass(frozen=True, slots=True)
class Written:
    """What one pass over the source brought. `sha256` of the whole, if it is known; `rest` of what was sent now."""

    size: int
    start: int
    sha256: str | None
    rest: str


class FileUpload:
    """Does what is left to do about one file."""

    def __init__(self, task: Task, operation: SftpUpload, plan: Plan, looks: Looks) -> None:
        self._task = task
        self._session = task.session
        self._looks = looks
        self._operation = operation
        self._plan = plan

    async def run(self) -> Transferred:
        """Raises Refused, SftpError, and what the source raises."""
        plan, before = self._plan, self._before
        part = await self._look(plan.part)
        if part is not None and part.kind != "file" and not plan.in_place:
            await self._session.remove(plan.part.path)  # a link would lead what is written elsewhere
            part = None
        if part is not None and not plan.in_place:
            self._task.leftovers[plan.index] = unfinished_files(self._task, self._operation, plan)
        final = part if plan.in_place else await self._look(plan.target)
        step = self._step(before, part, final)
        if step is Step.COMPARE_AS_OURS:
            assert before is not None, "it was being published"
            same = self._operation.verify is Verify.SIZE or await self._is(plan.target, before.sha256)
            step = Step.DONE if same else self._step(None, part, final)
        if step is Step.DONE:
            assert before is not None, "it was being published"
            return await self._finish(_result(plan, before))
        if step is Step.ASK and before is not None and not self._task.modes.stat_after_upload:
            return await self._rename_unseen(before)
        if step is Step.ASK:
            del self._task.progress.files[plan.index]  # who decides to send it again has looked
            raise Refused("outcome_unknown", f"{plan.target.shown} and its unfinished file are both gone")
        if step is Step.REFUSE:
            await self._withdraw_checksum(before.sha256 if before is not None else None)
            raise Refused("already_exists", f"{plan.target.shown} is there already")
        if step is Step.COMPARE_TO_SKIP and (sha256 := await self._same(final)):
            size = final.size if final is not None and final.size is not None else 0
            return Transferred(path=plan.target.shown, bytes=size, sha256=sha256, skipped=True)
        if before is None and not self._replaces:
            await self._refuse_what_is_beside()
        return await self._send(part, before)

    async def _rename_unseen(self, before: FileProgress) -> Transferred:
        """Where nobody may look, the rename itself tells: there is nothing to rename any more if it was done."""
        part, target = self._plan.part.path, self._plan.target
        try:
            await self._publish_checksum(before.sha256)
            await self._session.rename(part, target.path, replace=self._replaces)
        except SftpError as error:
            if error.code not in ("not_found", "already_exists"):
                raise
            if error.code == "already_exists" and await self._removed(part):
                raise Refused("already_exists", f"{target.shown} is there already") from None
            self._task.notes.add("an earlier attempt has published a file, as far as can be told without looking")
        return await self._finish(_result(self._plan, before))

    async def _refuse_what_is_beside(self) -> None:
        """A checksum or marker that no attempt of this run has published is somebody else's."""
        for place in filter(None, (self._checksum, self._plan.marker)):
            if await self._look(place) is not None:
                raise Refused("already_exists", f"{place.shown} is there already")

    async def _removed(self, path: str) -> bool:
        """False: there was nothing to be removed."""
        try:
            await self._session.remove(path)
        except SftpError as error:
            if error.code != "not_found":
                raise
            return False
        return True

    @property
    def _replaces(self) -> bool:
        return self._operation.overwrite is not Overwrite.FAIL

    @property
    def _checksum(self) -> Place | None:
        return checksum_of(self._plan.target) if self._operation.checksum_file else None

    @property
    def _before(self) -> FileProgress | None:
        return self._task.progress.files.get(self._plan.index)

    def _step(self, before: FileProgress | None, part: RemoteFile | None, final: RemoteFile | None) -> Step:
        if self._plan.in_place and before is not None:
            gone = final is None and before.phase is Phase.PUBLISHING and self._task.modes.moves_on_arrival
            return Step.DONE if gone else Step.WRITE
        if final is not None and final.kind == "folder":
            raise folder_in_the_way(self._plan.target.shown)
        return next_step(
            before,
            part=part is not None,
            final=None if final is None else final.size or 0,
            size=self._plan.source.size,
            overwrite=self._operation.overwrite,
            moves_on_arrival=self._task.modes.moves_on_arrival,
        )

    async def _send(self, part: RemoteFile | None, before: FileProgress | None) -> Transferred:
        plan = self._plan
        if self._operation.make_folders:
            await self._task.places.make_folder_of(plan.target)
            if not plan.in_place:
                await self._task.places.make_folder_of(plan.part)
        written = await self._write(part, before)
        verified, sha256 = await self._verify(written)
        if self._operation.checksum_file and sha256 is None:
            raise Refused("not_readable_back", f"{plan.target.shown}: its checksum cannot be known")
        await self._set_attributes()
        after = FileProgress(
            phase=Phase.PUBLISHING,
            offset=written.size,
            size=written.size,
            sha256=sha256,
            resumed_from=written.start,
            verified=verified,
        )
        self._task.progress.files[plan.index] = after
        await self._task.beats.record()
        await self._publish_checksum(sha256)
        if not plan.in_place:
            await self._publish(sha256)
        self._task.leftovers.pop(plan.index, None)
        return await self._finish(_result(plan, after))

    async def _publish(self, sha256: str | None) -> None:
        plan = self._plan
        try:
            await publish(self._session, plan.part.path, plan.target, replace=self._replaces, notes=self._task.notes)
        except Refused:
            await self._withdraw_checksum(sha256)
            raise

    async def _write(self, part: RemoteFile | None, before: FileProgress | None) -> Written:
        plan, files = self._plan, self._task.progress.files
        can_compare = self._task.modes.stat_after_upload and self._operation.verify is not Verify.SIZE
        ours = part is not None and (before is not None or not plan.in_place)
        there = part.size if part is not None and ours else None
        offset = resume_offset(there, before, size=plan.source.size, read_back=can_compare)
        async with self._opened(offset, before.validator if before else None) as (opened, start):
            files[plan.index] = FileProgress(
                phase=Phase.WRITING, offset=start, size=opened.size, validator=opened.validator
            )
            self._task.leftovers[plan.index] = unfinished_files(self._task, self._operation, plan)
            if plan.in_place:
                # Of what has the final name, the next attempt must know that it is ours.
                await self._task.beats.record()

            def acknowledged(offset: int) -> None:
                files[plan.index] = files[plan.index].model_copy(update={"offset": offset})

            digest = hashlib.sha256()
            size = await self._session.write(
                plan.part.path, hashed(opened.chunks, digest), start=start, on_progress=acknowledged
            )
        if opened.size is not None and size != opened.size:
            raise Refused("source_changed", f"{plan.target.shown}: the source brought {size} bytes of {opened.size}")
        rest = digest.hexdigest()
        return Written(size, start, rest if start == 0 else plan.source.sha256, rest)

    @contextlib.asynccontextmanager
    async def _opened(self, offset: int, validator: str | None) -> AsyncIterator[tuple[Opened, int]]:
        """The source from `offset` on, if the bytes before it are what the server has; else from its beginning."""
        source = self._plan.source
        validator = source.sha256 or validator
        tail = min(TAIL, offset)
        remote = await self._tail(offset - tail, tail) if offset and validator else None
        if remote is not None:
            async with source.open(offset - tail, validator) as opened:
                if opened.start == offset - tail and opened.size in (None, self._size_before(opened)):
                    head, rest = await split(opened.chunks, tail)
                    if head == remote:
                        yield Opened(rest, offset, opened.size, opened.validator), offset
                        return
        async with source.open(0, None) as opened:
            yield opened, 0

    def _size_before(self, opened: Opened) -> int | None:
        before = self._before
        return opened.size if before is None or before.size is None else before.size

    async def _tail(self, start: int, length: int) -> bytes | None:
        """None: the server lets nobody read it."""
        try:
            found = await self._session.read_range(self._plan.part.path, start, length)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            return None
        return found if len(found) == length else None

    async def _verify(self, written: Written) -> tuple[Verified, str | None]:
        """How it was compared, and the hash of the whole. Raises Refused, SftpError."""
        if not self._task.modes.stat_after_upload:
            return "acknowledged", written.sha256
        found = await self._stat_part()
        if found is None and self._plan.in_place and self._task.modes.moves_on_arrival:
            return "none", written.sha256
        if found is None or found.size != written.size:
            told = "is gone" if found is None else f"has {found.size} bytes in place of {written.size}"
            await self._begin_anew(f"what was sent {told}")
        verify = self._operation.verify
        if verify is Verify.SIZE or (verify is Verify.AUTO and written.start == 0):
            return "size" if verify is Verify.SIZE else "acknowledged", written.sha256
        return await self._read_back(written)

    async def _read_back(self, written: Written) -> tuple[Verified, str | None]:
        try:
            whole, rest = await content_hash(self._session, self._plan.part.path, written.start)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            if self._operation.verify is Verify.READ_BACK:
                raise Refused("not_readable_back", f"{self._plan.target.shown}: {error}") from None
            self._task.notes.add("the server lets nobody read what was sent: only the size was compared")
            return "size", written.sha256
        if (whole, rest) != (written.sha256 or whole, written.rest):
            await self._begin_anew("what the server has is not what was sent")
        return "read_back", whole

    async def _begin_anew(self, why: str) -> None:
        """What is there cannot be trusted, so the next attempt finds nothing of it."""
        await remove_quietly(self._session, self._plan.part.path)
        self._task.progress.files.pop(self._plan.index, None)
        raise Refused("content_differs", f"{self._plan.target.shown}: {why}")

    async def _set_attributes(self) -> None:
        permissions, modified = self._operation.permissions, self._operation.modified_at
        if permissions is None and modified is None:
            return
        await self._session.set_attributes(
            self._plan.part.path,
            permissions=None if permissions is None else int(permissions, 8),
            modified=None if modified is None else modified.timestamp(),
        )

    async def _publish_checksum(self, sha256: str | None) -> None:
        if not self._operation.checksum_file or sha256 is None:
            return
        plan = self._plan
        try:
            await publish_checksum(self._task, sha256, plan.target, plan.index, replace=self._replaces)
        except Refused:
            self._task.progress.files.pop(plan.index, None)  # nothing of it was published
            raise

    async def _withdraw_checksum(self, sha256: str | None) -> None:
        if self._operation.checksum_file and sha256 is not None:
            await withdraw_checksum(self._task, sha256, self._plan.target)

    async def _finish(self, result: Transferred) -> Transferred:
        if self._plan.marker is not None:
            await publish_marker(self._task, self._plan.marker, self._plan.target, replace=self._replaces)
        return result

    async def _look(self, place: Place) -> RemoteFile | None:
        """Where the server refuses to tell it is taken for missing: the rename itself replaces nothing unasked."""
        try:
            looks = self._looks if self._before is None else self._session
            found = await looks.lstat(place.path)
        except SftpError as error:
            if self._task.modes.stat_after_upload or error.code not in UNREADABLE:
                raise
            return None
        if found is not None and found.kind == "link" and self._plan.in_place:
            return (await self._task.places.follow(place))[1]
        return found

    async def _stat_part(self) -> RemoteFile | None:
        try:
            return await self._session.stat(self._plan.part.path)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            told = f"{error}; say stat_after_upload: false in the integration's sftp if it always does"
            raise Refused("unsupported", told) from None

    async def _is(self, place: Place, sha256: str | None) -> bool:
        """Whether its content has this hash; unknown hashes, and files that nobody may read, are told by their size."""
        try:
            whole, _ = await content_hash(self._session, place.path)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            return True
        return sha256 in (None, whole)

    async def _same(self, final: RemoteFile | None) -> str | None:
        """The hash, if what is there has the source's content."""
        source = self._plan.source
        if final is None or final.kind != "file":
            return None
        wanted = source.sha256 or await self._source_hash()
        whole, _ = await content_hash(self._session, self._plan.target.path)
        return whole if whole == wanted else None

    async def _source_hash(self) -> str:
        digest = hashlib.sha256()
        async with self._plan.source.open(0, None) as opened:
            async for _ in hashed(opened.chunks, digest):
                pass
        return digest.hexdigest()


def unfinished_files(task: Task, operation: SftpUpload, plan: Plan) -> tuple[str, ...]:
    """What is not to stay when nobody goes on with this file."""
    if not operation.checksum_file:
        return (plan.part.path,)
    return plan.part.path, checksum_part(plan.target, task.key(plan.index)).path


def _result(plan: Plan, done: FileProgress) -> Transferred:
    return Transferred.model_validate(
        {
            "path": plan.target.shown,
            "bytes": done.size or 0,
            "sha256": done.sha256,
            "resumed_from": done.resumed_from,
            "verified": done.verified,
        }
    )

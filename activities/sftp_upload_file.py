"""One file on its way up: begun or gone on with, compared with its source, and only then given its final name."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from activities.chunks import SentHash
from activities.progress import Attested, FileProgress, Phase, Piece
from activities.sftp_beside import UNREADABLE, checksum_of, publish_checksum, publish_marker
from activities.sftp_judge import UNSURE, Refused, folder_in_the_way
from activities.sftp_looks import Looks
from activities.sftp_places import Place
from activities.sftp_publish import end_replacement, publish, remove_quietly
from activities.sftp_resume import Step, next_step, resume_offset, when_not_ours
from activities.sftp_task import Task
from activities.sftp_upload_compare import Comparison
from activities.sftp_upload_plan import (
    Held,
    Left,
    Plan,
    Vanished,
    Written,
    result_of,
    unfinished_files,
    vanished,
)
from definitions.plural import plural
from definitions.sftp import Overwrite, SftpUpload, Transferred, Verify
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile


class FileUpload:
    """Does what is left to do about one file."""

    def __init__(self, task: Task, operation: SftpUpload, plan: Plan, looks: Looks) -> None:
        self._task = task
        self._session = task.session
        self._looks = looks
        self._operation = operation
        self._plan = plan
        self._compare = Comparison(task, operation, plan)

    async def run(self) -> Transferred:
        """Raises Refused, SftpError, and what the source raises."""
        try:
            return await self._run()
        except Vanished:
            return await self._run()  # both names tell what has become of it

    async def _run(self) -> Transferred:
        plan, before = self._plan, self._before
        left = await self._left()
        if left is not None and not plan.in_place:
            self._task.leftovers[plan.index] = unfinished_files(self._task, self._operation, plan)
        final = await self._look(plan.target) if not plan.in_place else left.file if left is not None else None
        step = await self._compared(self._step(before, left, final), before, left, final)
        if step is Step.DONE:
            assert before is not None, "it was being published"
            await end_replacement(self._task, plan.target)
            return await self._finish(result_of(plan, before))
        unseen = final is None and not self._task.modes.stat_after_upload
        if step is Step.ASK and before is not None and unseen:
            return await self._rename_unseen(before)
        if step is Step.ASK:
            del self._task.progress.files[plan.index]  # who decides to send it again has looked
            if final is None:  # it may have arrived and been taken away: its checksum is left to whoever has it
                self._task.progress.attested.pop(plan.index, None)
            gone = "and its unfinished file are both gone" if not plan.in_place else "is gone before it was whole"
            other = "is not what was sent, and its unfinished file is gone"
            raise Refused("outcome_unknown", f"{plan.target.shown} {gone if final is None else other}")
        if step is Step.REFUSE:
            raise Refused("already_exists", f"{plan.target.shown} is there already")
        if step is Step.COMPARE_TO_SKIP and (sha256 := await self._compare.hash_if_same(final)):
            size = final.size if final is not None and final.size is not None else 0
            return Transferred(path=plan.target.shown, bytes=size, sha256=sha256, skipped=True)
        if before is None and not self._replaces:
            await self._refuse_what_is_beside()
        return await self._send(left, before)

    async def _compared(
        self, step: Step, before: FileProgress | None, left: Left | None, final: RemoteFile | None
    ) -> Step:
        """What to do when content has told whether the final name holds ours already."""
        target = self._plan.target
        if step is Step.COMPARE_AS_OURS and before is not None:
            same = self._operation.verify is Verify.SIZE or await self._compare.has_hash(target, before.sha256)
            return Step.DONE if same else when_not_ours(self._operation.overwrite)
        if step is Step.COMPARE_BOTH and left is not None:
            if not await self._compare.are_the_same(left, target):
                return self._step(None, left, final)
            await remove_quietly(self._session, left.place.path)
            return Step.DONE
        return step

    async def _left(self) -> Left | None:
        """The newest unfinished file. What else has its name is removed: a link leads elsewhere."""
        for place, attempt in self._begun():
            found = await self._look(place)
            if found is None:
                continue
            if found.kind == "file" or self._plan.in_place:
                return Left(place, found, attempt)
            await self._session.remove(place.path)
        return None

    def _begun(self) -> Iterator[tuple[Place, str]]:
        """Where it may be. Of an attempt that has not begun yet nothing is anywhere."""
        task, plan, before = self._task, self._plan, self._before
        if plan.in_place or (before is not None and before.part == task.beats.attempt):
            yield plan.part, task.beats.attempt
        if not plan.in_place:
            last = None if before is None else before.part
            for place, attempt in zip(plan.earlier, plan.attempts_before, strict=True):
                if attempt == last or self._looks.may_hold(place.path):  # as it was when this attempt began
                    yield place, attempt

    async def _rename_unseen(self, before: FileProgress) -> Transferred:
        """Where nobody may look, the rename itself tells: there is nothing to rename any more if it was done.

        Only of what was about to be published: what other attempts left is not whole.
        """
        target = self._plan.target
        await self._publish_checksum(before.sha256)
        path = self._plan.part_of(before.part).path
        try:
            await self._session.rename(path, target.path, replace=self._replaces)
        except SftpError as error:
            if error.code not in ("not_found", "already_exists"):
                raise
            if error.code == "already_exists" and await self._removed(path):
                del self._task.progress.files[self._plan.index]  # nothing of it was published
                raise Refused("already_exists", f"{target.shown} is there already") from None
            self._task.notes.add("an earlier attempt has published a file, as far as can be told without looking")
        await end_replacement(self._task, target)
        return await self._finish(result_of(self._plan, before))

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

    def _step(self, before: FileProgress | None, left: Left | None, final: RemoteFile | None) -> Step:
        if self._plan.in_place and before is not None:
            if final is not None or not self._task.modes.moves_on_arrival:
                return Step.WRITE
            # The server takes it when it is closed, also by a line that breaks: then it may have got a part of it.
            whole = before.phase is Phase.PUBLISHING or (before.size is not None and before.offset == before.size)
            return Step.DONE if whole else Step.ASK
        if final is not None and final.kind == "folder":
            raise folder_in_the_way(self._plan.target.shown)
        return next_step(
            before,
            # What another attempt left says nothing of the one that was about to be published.
            part=left is not None and before is not None and left.attempt == before.part,
            final=None if final is None else final.size or 0,
            size=self._plan.source.size,
            overwrite=self._operation.overwrite,
            moves_on_arrival=self._task.modes.moves_on_arrival,
        )

    async def _send(self, left: Left | None, before: FileProgress | None) -> Transferred:
        plan = self._plan
        if self._operation.make_folders:
            await self._task.places.make_folder_of(plan.target)
            if not plan.in_place:
                await self._task.places.make_folder_of(plan.part)
        try:
            written = await self._write(left, before)
        except Held:
            written = await self._write(None, before)
        verified, sha256 = await self._compare.verify(written)
        if self._operation.checksum_file and sha256 is None:
            raise Refused("not_readable_back", f"{plan.target.shown}: its checksum cannot be known")
        await self._set_attributes()
        now = {"phase": Phase.PUBLISHING, "offset": written.size, "size": written.size, "sha256": sha256}
        more = {"resumed_from": written.start, "verified": verified}
        after = self._task.progress.files[plan.index].model_copy(update=now | more)
        self._task.progress.files[plan.index] = after
        if self._operation.checksum_file and sha256 is not None:
            attested = Attested(path=plan.target.path, sha256=sha256, size=written.size)
            self._task.progress.attested[plan.index] = attested
        await self._task.beats.record()
        await self._publish_checksum(sha256)
        if not plan.in_place:
            await self._publish(written.size)
        self._task.leftovers.pop(plan.index, None)
        return await self._finish(result_of(plan, after))

    async def _publish(self, size: int) -> None:
        plan = self._plan
        try:
            await publish(self._task, plan.part.path, plan.target, plan.index, replace=self._replaces, size=size)
        except SftpError as error:
            raise vanished(error) from None

    async def _write(self, left: Left | None, before: FileProgress | None) -> Written:
        plan, files, attempt = self._plan, self._task.progress.files, self._task.beats.attempt
        offset = self._offset(left, before)
        async with self._compare.opened(left, offset, before.validator if before else None) as (opened, start):
            earlier = before.pieces if start and before is not None else ()
            files[plan.index] = FileProgress(
                phase=Phase.WRITING,
                pieces=earlier,
                part=attempt,
                offset=start,
                resumed_from=start,
                size=opened.size,
                validator=opened.validator,
            )
            self._task.leftovers[plan.index] = unfinished_files(self._task, self._operation, plan)
            try:
                await self._begin(left, start)
            except Vanished:
                if before is not None:  # of the moment in which it may have been published
                    files[plan.index] = before
                raise

            sent = SentHash(start)

            def acknowledged(offset: int) -> None:
                now: dict[str, object] = {"offset": offset}
                rest = sent.upto(offset)
                if plan.source.sha256 is None:
                    now["pieces"] = (*earlier, Piece(end=offset, sha256=rest))
                files[plan.index] = files[plan.index].model_copy(update=now)

            if not start and not plan.in_place:
                self._task.unsure.add(plan.part.path)
            size = await self._session.write(
                plan.part.path,
                self._fenced(sent.told(opened.chunks)),
                start=start,
                exclusive=self._is_new(left, before),
                keep=plan.in_place,
                on_progress=acknowledged,
                at_begin=self._task.beats.fence,
                at_end=self._before_it_is_taken(sent),
            )
        if opened.size is not None and size != opened.size:
            raise Refused(
                "source_changed", f"{plan.target.shown}: the source brought {plural(size, 'byte')} of {opened.size}"
            )
        rest = sent.upto(size)
        whole = rest if start == 0 else plan.source.sha256
        return Written(size, start, whole, rest, earlier, shared=plan.in_place and before is not None)

    def _before_it_is_taken(self, sent: SentHash) -> Callable[[int], Awaitable[None]] | None:
        """A server may take a file when it is closed: that it has all of it is told before."""
        if not (self._plan.in_place and self._task.modes.moves_on_arrival):
            return None

        async def tell(size: int) -> None:
            files, index = self._task.progress.files, self._plan.index
            rest, start = sent.upto(size), files[index].resumed_from
            now = {"phase": Phase.PUBLISHING, "offset": size, "size": size, "verified": "none"}
            sha256 = self._plan.source.sha256 or (rest if start == 0 else None)
            files[index] = files[index].model_copy(update=now | {"sha256": sha256})
            await self._task.beats.record()

        return tell

    def _is_new(self, left: Left | None, before: FileProgress | None) -> bool:
        """Whether nothing has the name to be written to, or it is somebody else's and to stay."""
        if not self._plan.in_place:
            return True
        unseen = not self._task.modes.stat_after_upload
        may_be_there = before is not None or self._operation.overwrite is not Overwrite.FAIL
        return left is None and not (unseen and may_be_there)

    def _offset(self, left: Left | None, before: FileProgress | None) -> int:
        if left is None or (self._plan.in_place and before is None):
            return 0
        can_compare = self._task.modes.stat_after_upload and self._operation.verify is not Verify.SIZE
        told = before if before is not None and (self._plan.in_place or before.part == left.attempt) else None
        there, source = left.file.size or 0, self._plan.source
        if self._plan.in_place:  # what is behind may be of the file that is replaced
            there = min(there, told.offset if told is not None else 0)
        hash_known = source.sha256 is not None
        return resume_offset(there, told, size=source.size, read_back=can_compare, hash_known=hash_known)

    async def _begin(self, left: Left | None, start: int) -> None:
        """Make what is left ours before the first byte is written, in a way that only one attempt can.

        An attempt that was given up meanwhile, and works nevertheless, finds nothing under its own name any more.
        """
        if self._plan.in_place:
            await self._task.beats.record()  # of what has the final name, the next attempt must know that it is ours
            return
        await self._task.beats.begin()
        if left is None:
            return
        if not start:
            await remove_quietly(self._session, left.place.path)
        elif left.place != self._plan.part:
            await self._task.beats.record()
            try:
                await self._session.rename(left.place.path, self._plan.part.path, replace=False)
            except SftpError as error:
                if error.code in UNSURE or error.code == "not_found":
                    raise vanished(error) from None
                raise Held from None
        if (aside := self._task.progress.aside.get(self._plan.target.path)) is not None:
            self._task.progress.aside[self._plan.target.path] = aside.model_copy(update={"new": self._plan.part.path})

    async def _fenced(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Asked for when the file is open. If it took long to come here, nobody else may know of what was made."""
        if self._task.beats.is_stale and not self._plan.in_place:
            await self._task.beats.record()
        self._task.unsure.discard(self._plan.part.path)
        async for chunk in chunks:
            yield chunk

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
            self._task.progress.attested.pop(plan.index, None)
            raise

    async def _finish(self, result: Transferred) -> Transferred:
        self._task.progress.attested.pop(self._plan.index, None)  # it has its name, whoever takes it away now
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

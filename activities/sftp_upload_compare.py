"""Whether what is on the server is what was sent, or what is to be sent."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Literal

from activities.chunks import hashed, split
from activities.sftp_beside import UNREADABLE
from activities.sftp_judge import Refused
from activities.sftp_places import Place
from activities.sftp_publish import content_hash, remove_quietly
from activities.sftp_resume import TAIL
from activities.sftp_sources import Opened
from activities.sftp_task import Task
from activities.sftp_upload_plan import Left, Plan, Written
from definitions.plural import plural
from definitions.sftp import SftpUpload, Verify
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile

Verified = Literal["read_back", "acknowledged", "size", "none"]


class Comparison:
    """Of one file."""

    def __init__(self, task: Task, operation: SftpUpload, plan: Plan) -> None:
        self._task = task
        self._session = task.session
        self._operation = operation
        self._plan = plan

    @contextlib.asynccontextmanager
    async def opened(self, left: Left | None, offset: int, validator: str | None) -> AsyncIterator[tuple[Opened, int]]:
        """The source from `offset` on, if the bytes before it are what the server has; else from its beginning."""
        source = self._plan.source
        validator = source.sha256 or validator
        tail = min(TAIL, offset)
        remote = await self._tail(left, offset - tail, tail) if left and offset and validator else None
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
        before = self._task.progress.files.get(self._plan.index)
        return opened.size if before is None or before.size is None else before.size

    async def _tail(self, left: Left, start: int, length: int) -> bytes | None:
        """None: the server lets nobody read it."""
        try:
            found = await self._session.read_range(left.place.path, start, length)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            return None
        return found if len(found) == length else None

    async def verify(self, written: Written) -> tuple[Verified, str | None]:
        """How it was compared, and the hash of the whole. Raises Refused, SftpError."""
        if not self._task.modes.stat_after_upload:
            return "acknowledged", written.sha256
        found = await self._stat_part()
        if found is None and self._plan.in_place and self._task.modes.moves_on_arrival:
            return "none", written.sha256
        if found is None or found.size != written.size:
            told = (
                "is gone"
                if found is None
                else f"has {'no size' if found.size is None else plural(found.size, 'byte')} in place of {written.size}"
            )
            await self._begin_anew(f"what was sent {told}")
        verify = self._operation.verify
        alone = written.start == 0 and not written.shared
        if verify is Verify.SIZE or (verify is Verify.AUTO and alone):
            return "size" if verify is Verify.SIZE else "acknowledged", written.sha256
        return await self._read_back(written)

    async def _read_back(self, written: Written) -> tuple[Verified, str | None]:
        try:
            ends = [piece.end for piece in written.earlier] or ([written.start] if written.start else [])
            whole, pieces = await content_hash(self._session, self._plan.part.path, ends)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            if self._operation.verify is Verify.READ_BACK:
                raise Refused("not_readable_back", f"{self._plan.target.shown}: {error}") from None
            self._task.notes.add("the server lets nobody read what was sent: only the size was compared")
            return "size", written.sha256
        known = [piece.sha256 for piece in written.earlier] or pieces[:-1]
        if (whole, pieces) != (written.sha256 or whole, [*known, written.rest]):
            await self._begin_anew("what the server has is not what was sent")
        return "read_back", whole

    async def _begin_anew(self, why: str) -> None:
        """What is there cannot be trusted, so the next attempt finds nothing of it."""
        await remove_quietly(self._session, self._plan.part.path)
        self._task.progress.files.pop(self._plan.index, None)
        raise Refused("content_differs", f"{self._plan.target.shown}: {why}")

    async def _stat_part(self) -> RemoteFile | None:
        try:
            return await self._session.stat(self._plan.part.path)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            told = f"{error}; say stat_after_upload: false in the integration's sftp if it always does"
            raise Refused("unsupported", told) from None

    async def has_hash(self, place: Place, sha256: str | None) -> bool:
        """Whether its content has this hash; unknown hashes, and files that nobody may read, are told by their size."""
        try:
            whole, _ = await content_hash(self._session, place.path)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            return True
        return sha256 in (None, whole)

    async def are_the_same(self, left: Left, place: Place) -> bool:
        try:
            return await content_hash(self._session, left.place.path) == await content_hash(self._session, place.path)
        except SftpError as error:
            if error.code not in UNREADABLE:
                raise
            return False

    async def hash_if_same(self, final: RemoteFile | None) -> str | None:
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

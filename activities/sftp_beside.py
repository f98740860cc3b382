"""What stands beside a file that is sent: its checksum, which is there before it, and its marker, which comes after."""

from collections.abc import AsyncIterator

from activities.progress import Attested
from activities.sftp_judge import Refused
from activities.sftp_places import Place, temporary_name
from activities.sftp_publish import content_hash, publish, remove_quietly
from activities.sftp_task import Session, Task
from net.sftp_errors import SftpError

UNREADABLE = frozenset({"permission_denied", "unsupported", "failure"})
"""How servers say that nobody may look at a file."""
IN_THE_WAY = frozenset({"already_exists", "failure"})
"""How they say that a file cannot be made because there is one."""


def checksum_of(file: Place) -> Place:
    """Where the checksum of a file stands."""
    return file.beside(f"{file.name}.sha256")


def checksum_part(file: Place, key: str, attempt: str) -> Place:
    """Where an attempt writes it until it is whole."""
    return file.beside(temporary_name(checksum_of(file).name, key, attempt))


async def publish_checksum(task: Task, sha256: str, file: Place, index: int, *, replace: bool) -> None:
    """Beside a file that has not its name yet, and, but for servers without rename, whole when it is seen.

    Raises:
        Refused: there is one, of another content, and it is not to be replaced.
        SftpError
    """
    target, content = checksum_of(file), _content(sha256, file)
    if not task.modes.rename:
        return await _write_in_place(task.session, target, content, replace=replace)
    part = checksum_part(file, task.key(index), task.beats.attempt)
    await _write_anew(task.session, part, content)
    try:
        await publish(task, part.path, target, index, replace=replace, size=len(content))
    except Refused:
        await remove_quietly(task.session, part.path)
        if await _read(task.session, target, len(content)) != content:
            raise


async def withdraw_checksum(session: Session, attested: Attested) -> None:
    """Where another file has the name that was meant, or none, take back what attests ours; raises SftpError."""
    file = Place("", attested.path)
    target, content = checksum_of(file), _content(attested.sha256, file)
    if await _read(session, target, len(content)) == content and not await _is_there(session, attested):
        await remove_quietly(session, target.path)


async def _is_there(session: Session, attested: Attested) -> bool:
    """What nobody may read is told by its size."""
    try:
        found = await session.stat(attested.path)
        if found is None or found.size != attested.size:
            return False
        whole, _ = await content_hash(session, attested.path)
    except SftpError as error:
        if error.code not in UNREADABLE:
            raise
        return True
    return whole == attested.sha256


async def publish_marker(task: Task, marker: Place, file: Place, *, replace: bool) -> None:
    """An empty file. Raises Refused, SftpError, which say that the file itself is there."""
    told = f"{file.shown} has its final name, and its marker {marker.shown} is missing"
    try:
        await task.places.make_folder_of(marker)
        await _write_in_place(task.session, marker, b"", replace=replace)
    except SftpError as error:
        raise SftpError(error.code, f"{told}: {error}") from None
    except Refused as error:
        raise Refused(error.category, f"{told}: {error}") from None


async def _write_in_place(session: Session, place: Place, content: bytes, *, replace: bool) -> None:
    """What an earlier attempt wrote of it may be there; somebody else's file stays unless it is to be replaced."""
    try:
        await session.write(place.path, _once(content), exclusive=True)
        return
    except SftpError as error:
        if error.code not in IN_THE_WAY:
            raise
        if not replace:
            found = await _read(session, place, len(content))
            if found is None or not content.startswith(found):
                raise Refused("already_exists", f"{place.shown} is there already, with other content") from None
            if found == content:
                return
    await _write_anew(session, place, content)


async def _write_anew(session: Session, place: Place, content: bytes) -> None:
    """What is there is removed first: a link would lead what is written elsewhere."""
    try:
        await session.write(place.path, _once(content), exclusive=True)
    except SftpError as error:
        if error.code not in IN_THE_WAY:
            raise
        await session.remove(place.path)
        await session.write(place.path, _once(content), exclusive=True)


async def _read(session: Session, place: Place, length: int) -> bytes | None:
    """A file, if it has `length` bytes at most; None for whatever else is there, and for what nobody may read."""
    try:
        found = await session.lstat(place.path)
        if found is None or found.kind != "file":
            return None
        content = await session.read_range(place.path, 0, length + 1)
    except SftpError as error:
        if error.code not in UNREADABLE:
            raise
        return None
    return content if len(content) <= length else None


def _content(sha256: str, file: Place) -> bytes:
    """In the format of sha256sum."""
    return f"{sha256}  {file.name}\n".encode()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content

"""What stays on a server when nobody goes on: nothing unfinished, and no checksum without its file."""

import asyncio
import contextlib
from collections.abc import Mapping

from activities.progress import Aside, Progress
from activities.sftp_beside import withdraw_checksum
from activities.sftp_judge import UNSURE
from activities.sftp_publish import remove_quietly, settle
from activities.sftp_task import Session
from net.sftp_errors import SftpError

COMPARE_WITHIN = 5.0
"""Seconds in which a file is read back to see whether a checksum is its own."""


async def clean_up(
    session: Session, unfinished: Mapping[int, tuple[str, ...]], progress: Progress, *, for_good: bool
) -> None:
    """What is not for good, as somebody may decide to go on, keeps what it has written. Raises SftpError."""
    settled: list[Aside] = []
    for target, aside in list(progress.aside.items()):
        if await settle(session, target, aside, for_good=for_good):
            settled.append(progress.aside.pop(target))
    if not for_good:
        return
    await _withdraw_checksums(session, progress)
    kept = {aside.index for aside in progress.aside.values()}
    for index, paths in unfinished.items():
        if index not in kept:
            await _take_away(session, index, paths, progress)
    for aside in settled:
        if aside.unfinished:
            await remove_quietly(session, aside.new)


async def _withdraw_checksums(session: Session, progress: Progress) -> None:
    for index, attested in list(progress.attested.items()):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COMPARE_WITHIN):
                await withdraw_checksum(session, attested)
                del progress.attested[index]


async def _take_away(session: Session, index: int, paths: tuple[str, ...], progress: Progress) -> None:
    before = progress.files.get(index)
    ours = None if before is None else _written_by(before.part, paths)
    for path in paths:
        if path == ours:
            await _give_up(session, index, path, progress)
        else:
            await remove_quietly(session, path)


async def _give_up(session: Session, index: int, path: str, progress: Progress) -> None:
    """What is removed has not got its final name, and never will: whoever tries it again begins anew."""
    was_there = True
    try:
        await session.remove(path)
    except SftpError as error:
        if was_there := error.code in UNSURE:
            raise
    finally:
        if was_there:
            progress.files.pop(index, None)


def _written_by(attempt: str, paths: tuple[str, ...]) -> str:
    """The unfinished file of this attempt: it stands before its checksum, whose name ends like its own."""
    end = f".{attempt}.part" if attempt else ".part"
    return next((path for path in paths if path.endswith(end)), paths[0])

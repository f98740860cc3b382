"""Where to go on with a file that an earlier attempt wrote a part of, and with what there is under its final name.

Decisions only, without effects. Up to 16 writes are under way at once and a server may answer them in any order, so
that the size of a file proves nothing about the bytes before its end. What is acknowledged without a gap does, as far
as a server keeps what it acknowledges. That no write is sent further ahead of the oldest that is not answered than all
writes under way together does, too. Neither is believed: whatever was gone on with is read back at the end, and what it
is compared with must be known: the hash of the source, or of what each attempt has sent.
"""

from enum import StrEnum

from activities.progress import FileProgress, Phase
from definitions.sftp import Overwrite

TAIL = 256 * 1024
"""Bytes before the place of going on that are compared with the source."""
UNDER_WAY = 16 * 255 * 1024
"""Bytes that a client writes at once: gaps are nowhere before."""


def resume_offset(
    there: int | None, before: FileProgress | None, *, size: int | None, read_back: bool, hash_known: bool
) -> int:
    """The byte to go on at, its tail to be compared; 0: anew.

    `there`: the size of what stands on the server. `read_back`: all of it is compared at the end. `hash_known`: the
    source's own.
    """
    if not there:
        return 0
    acknowledged = before.offset if before is not None else 0
    if read_back and not hash_known:
        return acknowledged if acknowledged <= there and _is_told(before) else 0
    trusted = max(acknowledged, there - UNDER_WAY) if read_back else acknowledged
    return min(trusted, there, there if size is None else size)


def _is_told(before: FileProgress | None) -> bool:
    """Whether it is known what the bytes before the place of going on must be."""
    return before is not None and bool(before.pieces) and before.pieces[-1].end == before.offset


class Step(StrEnum):
    """What to do about one file."""

    WRITE = "write"
    COMPARE_AS_OURS = "compare_as_ours"
    """It may have its final name by an earlier attempt: it has, if the content is the same."""
    COMPARE_BOTH = "compare_both"
    """The same, and the unfinished file is there, too: some servers rename by a second link, then remove the first."""
    DONE = "done"
    COMPARE_TO_SKIP = "compare_to_skip"
    REFUSE = "refuse"
    ASK = "ask"
    """Ours is under neither name: it was published and is gone or replaced, or somebody removed the unfinished one."""


def next_step(
    before: FileProgress | None,
    *,
    part: bool,
    final: int | None,
    size: int | None,
    overwrite: Overwrite,
    moves_on_arrival: bool,
) -> Step:
    """`final`: the size of what has the final name, None when nothing has. `size`: the source's, if it is known."""
    if before is not None and before.phase is Phase.PUBLISHING:
        if final is not None and final == before.size:
            return Step.COMPARE_BOTH if part else Step.COMPARE_AS_OURS
        if not part and final is None:
            return Step.DONE if moves_on_arrival else Step.ASK
        if not part:
            return when_not_ours(overwrite)
    if final is None:
        return Step.WRITE
    if overwrite is Overwrite.FAIL:
        return Step.REFUSE
    if overwrite is Overwrite.SKIP_IF_SAME and size in (None, final):
        return Step.COMPARE_TO_SKIP
    return Step.WRITE


def when_not_ours(overwrite: Overwrite) -> Step:
    """What to do where ours may have had its final name, and something else has it now.

    To send ours once more could replace somebody's newer file.
    """
    return Step.REFUSE if overwrite is Overwrite.FAIL else Step.ASK

"""An answer that becomes an asset: every byte as it came, under the name and type that the provider gave it."""

import posixpath
import re
from urllib.parse import unquote

from activities.streams import Assets, Draft
from definitions.asset import Asset, check_file_name
from definitions.fields import check_media_type
from definitions.run import Call
from net.redaction import LIVE_SECRETS
from net.streamed import StreamedReply

SLICE_BYTES = 1024 * 1024
"""Written at once: each writing is the work of a thread."""
UNKNOWN_TYPE = "application/octet-stream"

_EXTENDED = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^\s;]+)", re.IGNORECASE)
_PLAIN = re.compile(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)


async def keep_answer(assets: Assets, answer: StreamedReply, call: Call, *, key: str | None, holder: str) -> Asset:
    """Read an answer into a draft, and make that an asset. What an attempt that was killed left under the same key is
    written over; what fails leaves nothing.

    Raises:
        NetError: the answer did not come whole, or is too large.
        StorageError: there is no room, or no way to the assets.
    """
    async with assets.draft(key) as draft:
        try:
            await draft.rewind(0)
            await _check_room(draft, answer)
            gathered = bytearray()
            async for part in answer.body:
                gathered += part
                if len(gathered) >= SLICE_BYTES:
                    await draft.append(bytes(gathered))
                    gathered.clear()
            if gathered:
                await draft.append(bytes(gathered))
            name, media_type = name_of(answer.header("content-disposition"), call.operation.path), type_of(answer)
            return await draft.commit(name=name, media_type=media_type, holder=holder)
        except BaseException:
            await draft.discard()
            raise


async def _check_room(draft: Draft, answer: StreamedReply) -> None:
    """Where an answer says that it is large. For small ones room is left: an unsafe call is not made again for them."""
    told = answer.header("content-length") or ""
    if told.isdecimal() and int(told) > SLICE_BYTES:
        await draft.check_room(int(told))


def name_of(disposition: str | None, path: str) -> str:
    """What the provider calls it (RFC 6266), else the last part of the path that was asked for; never a path."""
    told = (_told_name(disposition or ""), unquote(path.partition("?")[0].rstrip("/")))
    return next((name for name in map(_last_part, told) if name), "answer")


def _told_name(disposition: str) -> str:
    if found := _EXTENDED.search(disposition):
        return unquote(found[1])
    found = _PLAIN.search(disposition)
    if found is None:
        return ""
    quoted, bare = found.groups()
    return bare or re.sub(r"\\(.)", r"\1", quoted)


def _last_part(name: str) -> str | None:
    name = LIVE_SECRETS.scrub(posixpath.basename(name.replace("\\", "/"))).strip()
    try:
        return check_file_name(name)
    except ValueError:
        return None


def type_of(answer: StreamedReply) -> str:
    """As the provider says, where that is a media type."""
    try:
        return check_media_type(LIVE_SECRETS.scrub(answer.header("content-type") or UNKNOWN_TYPE).strip())
    except ValueError:
        return UNKNOWN_TYPE

"""What there is on a server before an upload: where many files go into one folder, all of it is asked for at once.

For small files a look takes as long as sending them does.
"""

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing

from activities.sftp_task import Session
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile

MANY = 8
"""Looks into one folder from which on its listing is quicker."""
PER_LOOK = 10
"""Entries that are listed in the time of one look: servers tell dozens at once."""
MAX_ENTRIES, MOST_ENTRIES = 5000, 50_000
"""Of a folder beyond which it is not; and where very many looks are left, which a listing saves."""


class Looks:
    """Looks of one attempt, which begins with `prepare`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listed: dict[str, dict[str, RemoteFile]] = {}
        self._alike: dict[str, set[str]] = {}

    async def prepare(self, paths: Iterable[str]) -> None:
        """List the folders of these paths, where that saves looks. What cannot be listed is looked at one by one."""
        for folder, count in Counter(posixpath.dirname(path) for path in paths).items():
            if count >= MANY:
                await self._list(folder, min(max(MAX_ENTRIES, PER_LOOK * count), MOST_ENTRIES))

    def may_hold(self, path: str) -> bool:
        """False: a listing did not hold it; nothing is asked for that."""
        folder, name = posixpath.split(path)
        return folder not in self._listed or name in self._listed[folder]

    async def lstat(self, path: str) -> RemoteFile | None:
        """As it was when the attempt began, or is now. Raises SftpError."""
        folder, name = posixpath.split(path)
        listed = self._listed.get(folder)
        if listed is None or (name not in listed and _folded(name) in self._alike[folder]):
            # To a server that does not tell capitals apart, another spelling is the same file.
            return await self._session.lstat(path)
        return listed.get(name)

    async def _list(self, folder: str, limit: int) -> None:
        found: dict[str, RemoteFile] = {}
        try:
            async with aclosing(self._session.list(folder)) as entries:
                async for file in entries:
                    found[file.name] = file
                    if len(found) > limit:
                        return
        except SftpError as error:
            if error.code not in ("not_found", "permission_denied", "unsupported", "failure", "not_a_directory"):
                raise
            if error.code != "not_found":
                return
        self._listed[folder] = found
        self._alike[folder] = {_folded(name) for name in found}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()

"""What folders hold, as much of it as one operation looks at."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from activities.sftp_judge import Refused
from activities.sftp_places import Place
from activities.sftp_task import Session
from net.sftp_server import RemoteFile

MAX_SEEN = 200_000
"""Entries that one operation looks at, whatever it does with them."""
MAX_DEPTH = 64
"""Levels of folders."""


class Entries:
    """Counts what it gives, over all folders of an operation."""

    def __init__(self, session: Session, top: Place) -> None:
        self._session = session
        self._top = top
        self._seen = 0

    async def of(self, folder: Place) -> AsyncGenerator[RemoteFile, None]:
        """In the server's order. Raises Refused, SftpError."""
        async with aclosing(self._session.list(folder.path)) as entries:
            async for file in entries:
                self._seen += 1
                if self._seen > MAX_SEEN:
                    raise Refused("too_many_entries", f"{self._top.shown} holds more than {MAX_SEEN} entries")
                yield file

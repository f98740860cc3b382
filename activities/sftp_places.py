"""Where an operation's paths are on the server: below the account's root folder, whatever links there are."""

import asyncio
import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from activities.sftp_judge import Refused
from definitions.asset import check_file_name
from definitions.remote_path import RemotePathError, is_below, render_remote_path
from definitions.templates import TemplateError
from net.sftp_errors import SftpError
from net.sftp_server import RemoteFile

KEPT_OF_NAME = 200
"""Bytes of a file's name that its temporary name holds: all of that must fit into 255."""


class Looking(Protocol):
    """What is needed of a session."""

    async def stat(self, path: str) -> RemoteFile | None: ...

    async def lstat(self, path: str) -> RemoteFile | None: ...

    async def realpath(self, path: str) -> str: ...

    async def mkdir(self, path: str, permissions: int | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A path below the root, as people know it, and where that is on the server."""

    shown: str
    path: str

    @property
    def name(self) -> str:
        """Its last part."""
        return posixpath.basename(self.path)

    def beside(self, name: str) -> "Place":
        """Another one in the same folder."""
        return Place(_join(posixpath.dirname(self.shown), name), posixpath.join(posixpath.dirname(self.path), name))

    def below(self, name: str) -> "Place":
        """One in this folder."""
        return Place(_join(self.shown, name), posixpath.join(self.path, name))


class Places:
    """Resolves for one attempt; a folder is looked up once."""

    def __init__(self, session: Looking, root: str, values: Mapping[str, str]) -> None:
        self._session = session
        self._root = root or "."
        self._values = values
        self._resolved_root: str | None = None
        self._folders: dict[str, str] = {}
        self._made: set[str] = set()
        self._lock = asyncio.Lock()

    async def root(self) -> Place:
        """The account's root folder. Raises Refused, SftpError."""
        if self._resolved_root is None:
            if await self._session.stat(self._root) is None:
                raise Refused("not_found", f"there is no folder {self._root!r}, the root of the account")
            self._resolved_root = await self._session.realpath(self._root)
        return Place(".", self._resolved_root)

    async def resolve(self, template: str, name: str | None = None) -> Place:
        """Where this path is; its folders, not itself, are followed if they are links.

        `name` fills `{name}`, and is the last part where the path ends with a slash.

        Raises:
            Refused: it leaves the root, or cannot be a path.
            SftpError: the server was not to be asked.
        """
        shown = self._rendered(template, name)
        async with self._lock:
            root = await self.root()
            if template.startswith("/"):
                self._check_not_whole(f"/{shown}", root.path)
            if shown == ".":
                return root
            folder = await self._folder(root.path, posixpath.dirname(shown))
        return Place(shown, posixpath.join(folder, posixpath.basename(shown)))

    async def follow(self, place: Place) -> tuple[Place, RemoteFile | None]:
        """What is there; where it is a link, what it leads to, if that is below the root. Raises Refused, SftpError."""
        found = await self._session.lstat(place.path)
        if found is None or found.kind != "link":
            return place, found
        target = await self._session.realpath(place.path)
        self._check(target, (await self.root()).path, place.shown)
        return Place(place.shown, target), await self._session.stat(target)

    async def make_folder_of(self, place: Place, permissions: int | None = None) -> None:
        """Make the folder that a place is in, with all that are missing above it. Raises SftpError."""
        root, folder = (await self.root()).path, posixpath.dirname(place.path)
        if folder not in self._made:
            await self._make(root, folder, permissions)
            self._made.add(folder)

    async def _make(self, root: str, folder: str, permissions: int | None) -> None:
        missing: list[str] = []
        while folder not in (root, "/") and await self._session.stat(folder) is None:
            missing.append(folder)
            folder = posixpath.dirname(folder)
        for each in reversed(missing):
            try:
                await self._session.mkdir(each, permissions)
            except SftpError as error:
                # Somebody else, or another file of this run, was quicker: servers call it one or the other.
                if error.code not in ("already_exists", "failure") or await self._session.stat(each) is None:
                    raise

    async def _folder(self, root: str, shown: str) -> str:
        if shown not in self._folders:
            self._folders[shown] = await self._resolved(root, shown)
        return self._folders[shown]

    async def _resolved(self, root: str, shown: str) -> str:
        """The deepest folder that there is may be anywhere; what is missing below it is made where that is."""
        there, missing = posixpath.join(root, shown) if shown else root, ""
        while there.rstrip("/") != root.rstrip("/") and await self._session.stat(there) is None:
            there, missing = posixpath.dirname(there), posixpath.join(posixpath.basename(there), missing)
        resolved = await self._session.realpath(there)
        self._check(resolved, root, shown)
        return posixpath.normpath(posixpath.join(resolved, missing))

    def _check_not_whole(self, path: str, resolved: str) -> None:
        """A path as the server's other users know it would be made once more below the root, folder by folder."""
        for root in (self._root.rstrip("/"), resolved.rstrip("/")):
            if root.startswith("/") and is_below(path, root):
                below = path[len(root) :].lstrip("/") or "."
                raise Refused(
                    "bad_path",
                    f"{path!r} begins with the account's root folder, {root}, below which all paths are anyway",
                    f"write {below}; or {path.lstrip('/')}, if there are such folders below the root",
                )

    def _check(self, resolved: str, root: str, shown: str) -> None:
        if not is_below(resolved, root):
            raise Refused("bad_path", f"{shown!r} leads out of the account's root folder, by a link on the server")

    def _rendered(self, template: str, name: str | None) -> str:
        values = self._values if name is None else {**self._values, "name": name}
        try:
            shown = render_remote_path(template, values)
        except RemotePathError as error:
            raise Refused("bad_path", str(error)) from None
        except TemplateError as error:
            raise Refused("invalid_request", str(error)) from None
        if not shown.endswith("/"):
            return shown
        if name is None:
            return shown.rstrip("/") or "."
        return _join(shown.rstrip("/"), checked_name(name))


def checked_name(name: str) -> str:
    """Raises Refused: it is no name of a file."""
    try:
        return check_file_name(name)
    except ValueError as error:
        raise Refused("bad_name", f"{name!r}: {error}") from None


def temporary_name(name: str, key: str, attempt: str = "") -> str:
    """Under which a file stands until it is whole. No other run has this key; `attempt` tells its attempts apart."""
    kept = name.encode()[:KEPT_OF_NAME].decode(errors="ignore")
    if kept != name:
        key = f"{key}/{name}"  # else a file and its checksum would stand under one name
    short = hashlib.sha256(key.encode()).hexdigest()[:8]
    return ".".join(("", kept, short, *((attempt,) if attempt else ()), "part"))


def _join(folder: str, name: str) -> str:
    return name if folder in ("", ".") else posixpath.join(folder, name)

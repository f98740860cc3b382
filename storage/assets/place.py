"""Whose files lie in a place: every installation leaves its mark there before its first file.

A database that does not know a file says nothing about it while another installation may have put it there: none that
is not alone in a place deletes what it does not know.
"""

import contextlib
import re
from dataclasses import dataclass

from sqlalchemy import select

from storage.assets.blobs import Blobs
from storage.database import Database
from storage.schema import installation

_ALONE = ".alone"
"""Ends the mark of an installation that found the place empty, or knew of all that lay there, or was told that it may
delete the rest."""
_MARK = re.compile(rf"[0-9a-f]{{32}}({re.escape(_ALONE)})?")
_SHOWN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Standing:
    """What the marks in a place say to one installation. `others` are the ids of further ones."""

    where: str
    marked: bool
    alone: bool
    others: tuple[str, ...]

    def objection(self, *, knows_any: bool = True) -> str:
        """Why not everything may be deleted, and what to do. `knows_any`: the database has some asset at all."""
        if self.others:
            ids = ", ".join(each[:_SHOWN_DIGITS] for each in self.others)
            told = f"{self.where} also holds files of another installation ({ids}), with a database of its own"
        else:
            told = f"files that this database does not know lay in {self.where} before its own, if it has any there"
        if not knows_any:
            told = f"{told}; this database knows no asset at all, and may be the wrong one"
        return (
            f"{told}: see that TIELINE_DATABASE_URL and the place of assets belong together, and give each installation"
            " a place of its own; where nobody else needs what lies there, --take-over (take_over) says so once"
        )


class Place:
    """The folder or bucket of one installation, or of several."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._entered = False

    async def enter(self) -> None:
        """Before a file is put there. Whoever comes first knows that it is alone; several may come at once."""
        if self._entered:
            return
        if not (await self.look()).marked:
            ours, empty = await self._id(), not await self._holds_anything()
            await self._blobs.mark(ours + _ALONE if empty else ours)
        self._entered = True

    async def look(self) -> Standing:
        """Ask anew."""
        ours, marks = await self._id(), await self._marks()
        others = {mark.removesuffix(_ALONE) for mark in marks} - {ours}
        marked = bool({ours, ours + _ALONE} & marks)
        return Standing(self._blobs.where, marked, ours + _ALONE in marks and not others, tuple(sorted(others)))

    async def be_alone(self) -> None:
        """Nobody else's files lie here."""
        await self._blobs.mark(await self._id() + _ALONE)

    async def take_over(self) -> None:
        """The same, because somebody says so: others that still are at work leave their marks again when they start."""
        await self.be_alone()
        ours = await self._id()
        for mark in await self._marks():
            if mark.removesuffix(_ALONE) != ours:
                await self._blobs.unmark(mark)

    async def _marks(self) -> set[str]:
        """What lies beside them is nobody's: a file that a system leaves in each folder it shows, or the folder itself,
        which some programs keep in a bucket as an object."""
        return {mark for mark in await self._blobs.marks() if _MARK.fullmatch(mark)}

    async def _holds_anything(self) -> bool:
        async with contextlib.aclosing(self._blobs.every()) as blobs:
            return await anext(blobs, None) is not None

    async def _id(self) -> str:
        async with self._database.read() as connection:
            return str((await connection.execute(select(installation.c.id))).scalar_one())

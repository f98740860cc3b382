"""What nothing needs any more: found first, and deleted only when that was asked for.

A blob is deleted while its row is held, so nobody can take it up meanwhile: who puts the same content waits, finds no
row, and puts it anew.
"""

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, delete, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.assets import rows
from storage.assets.blobs import Blob, Blobs
from storage.assets.draft import Staging
from storage.assets.place import Place
from storage.database import Database, db_now
from storage.schema import asset_holders, assets

GRACE_SECONDS = 86400.0
"""A payload is stored before its run begins, and content before its row is complete: nothing younger is judged."""
PART = 500
"""Rows asked for at once."""


class Fate(StrEnum):
    """What Temporal says of a run."""

    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"
    """There is none, or its retention has passed."""
    NOT_ASKED = "not asked"
    """Temporal does not answer: nothing is concluded from that."""


Ask = Callable[[Collection[str]], Awaitable[Mapping[str, Fate]]]
"""What became of runs, by their ids."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that may go, and why. `kind`: file, payload, unfinished, orphan, draft."""

    kind: str
    id: str
    size: int
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What was found, or deleted. `kept`: assets that stay because Temporal could not be asked. `left`: what would have
    been garbage, but may be another installation's, as `objection` says."""

    garbage: Sequence[Garbage]
    references: int
    kept: int
    left: Sequence[Garbage] = ()
    objection: str | None = None


@dataclass(frozen=True, slots=True)
class _Reference:
    sha256: str
    holder: str
    since: float
    until: float | None


class Collector:
    """Finds and deletes garbage in one store."""

    def __init__(self, database: Database, blobs: Blobs, staging: Staging, ask: Ask) -> None:
        self._database = database
        self._blobs = blobs
        self._place = Place(database, blobs)
        self._staging = staging
        self._ask = ask

    async def collect(self, *, delete: bool, take_over: bool) -> Collected:
        """All of it; without `delete` nothing is touched. `take_over`: nobody else needs what lies there."""
        if take_over and delete:
            await self._place.take_over()
        standing = await self._place.look()
        # Others may need the same content as we: where they are, not even what we know is deleted.
        known_may_go, all_may_go = take_over or not standing.others, take_over or standing.alone
        garbage: list[Garbage] = []
        left: list[Garbage] = []
        over, waiting = await self._references()
        (garbage if known_may_go else left).extend(await self._known(over, delete=delete and known_may_go))
        if delete:
            await self._free(over)
        (garbage if all_may_go else left).extend(await self._orphans(delete=delete and all_may_go))
        if delete and standing.marked and not (standing.alone or left):
            await self._settle()
        garbage += await self._drafts(delete=delete)
        return Collected(
            garbage,
            sum(map(len, over.values())),
            len(waiting - {each.id for each in garbage}),
            left,
            standing.objection(knows_any=await self._knows_any()) if left else None,
        )

    async def _knows_any(self) -> bool:
        async with self._database.read() as connection:
            return (await connection.execute(select(assets.c.sha256).limit(1))).first() is not None

    async def _known(self, over: Mapping[str, Sequence[_Reference]], *, delete: bool) -> list[Garbage]:
        async with self._database.read() as connection:
            found = [*await _unfinished(connection), *await _unneeded(connection, over)]
        return [each for each in found if not delete or await self._deleted(each, over.get(each.id, ()))]

    async def _drafts(self, *, delete: bool) -> list[Garbage]:
        fates = await self._ask(await self._staging.runs())
        ended = {run for run, fate in fates.items() if fate in (Fate.ENDED, Fate.UNKNOWN)}
        drafts = await self._staging.abandoned(ended, delete=delete)
        return [Garbage("draft", each.name, each.size, "", each.why) for each in drafts]

    async def _references(self) -> tuple[Mapping[str, Sequence[_Reference]], set[str]]:
        """References that are over, by asset; and the assets of those that Temporal could not be asked about."""
        late = (asset_holders.c.until <= db_now()) | (
            asset_holders.c.until.is_(None) & (asset_holders.c.since <= db_now() - literal(GRACE_SECONDS))
        )
        async with self._database.read() as connection:
            found = (await connection.execute(select(asset_holders).where(late))).all()
        references = [_Reference(row.sha256, row.holder, row.since, row.until) for row in found]
        fates = await self._ask({each.holder for each in references if each.holder != rows.USER})
        over, waiting = defaultdict(list), set()
        for each in references:
            fate = Fate.ENDED if each.holder == rows.USER else fates.get(each.holder, Fate.NOT_ASKED)
            if fate is Fate.UNKNOWN or (fate is Fate.ENDED and each.until is not None):
                over[each.sha256].append(each)
            elif fate is Fate.NOT_ASKED:
                waiting.add(each.sha256)
        return over, waiting

    async def _deleted(self, garbage: Garbage, over: Sequence[_Reference]) -> bool:
        """Whether it could go: somebody may have taken it up since it was found."""
        async with self._database.write() as connection:
            query = select(assets.c.stored_at, assets.c.created_at).where(assets.c.sha256 == garbage.id)
            row = (await connection.execute(query.with_for_update())).one_or_none()
            if row is None:
                return False
            if garbage.kind == "unfinished":
                if await connection.scalar(_stale(garbage.id)) is None:
                    return False
            else:
                await _free(connection, over)
                if await connection.scalar(select(asset_holders).where(asset_holders.c.sha256 == garbage.id)):
                    return False
            await self._blobs.delete(garbage.id)
            await connection.execute(delete(assets).where(assets.c.sha256 == garbage.id))
        return True

    async def _free(self, over: Mapping[str, Sequence[_Reference]]) -> None:
        """The references to what others need still."""
        for references in over.values():
            async with self._database.write() as connection:
                await _free(connection, references)

    async def _orphans(self, *, delete: bool) -> list[Garbage]:
        """Blobs that no row knows, as after a database was restored from a backup."""
        return [
            Garbage("orphan", blob.sha256, blob.size, "", "the database does not know it")
            async for blob in self._strange(time.time() - GRACE_SECONDS)
            if not delete or await self._deleted_orphan(blob)
        ]

    async def _strange(self, before: float) -> AsyncGenerator[Blob]:
        async for blobs in _parts_of(blob async for blob in self._blobs.every() if blob.changed < before):
            async with self._database.read() as connection:
                known = await connection.scalars(
                    select(assets.c.sha256).where(assets.c.sha256.in_([blob.sha256 for blob in blobs]))
                )
                strange = {blob.sha256 for blob in blobs} - set(known)
            for blob in blobs:
                if blob.sha256 in strange:
                    yield blob

    async def _settle(self) -> None:
        """Where files lay before ours (all that were put before there were marks) and we know every one, young ones as
        well, they are ours, too."""
        async with contextlib.aclosing(self._strange(math.inf)) as strange:
            if await anext(strange, None) is None:
                await self._place.be_alone()

    async def _deleted_orphan(self, blob: Blob) -> bool:
        """A row of our own keeps everybody away meanwhile."""
        async with self._database.write() as connection:
            if not await rows.claim(connection, blob.sha256, blob.size):
                return False
            await self._blobs.delete(blob.sha256)
            await connection.execute(delete(assets).where(assets.c.sha256 == blob.sha256))
        return True


def _stale(sha256: str | None = None) -> Select[Any]:
    """Rows whose content was never put in its place, and of which nobody can be at work any more."""
    query = select(assets).where(assets.c.stored_at.is_(None), assets.c.created_at <= db_now() - literal(GRACE_SECONDS))
    return query if sha256 is None else query.where(assets.c.sha256 == sha256)


async def _unfinished(connection: AsyncConnection) -> list[Garbage]:
    found = await connection.execute(_stale())
    return [Garbage("unfinished", row.sha256, row.size, row.name, "its put was cut off") for row in found]


async def _unneeded(connection: AsyncConnection, over: Mapping[str, Sequence[_Reference]]) -> list[Garbage]:
    """Those that nothing needs, but for references that are over."""
    holders = (
        select(func.count()).select_from(asset_holders).where(asset_holders.c.sha256 == assets.c.sha256)
    ).scalar_subquery()
    stored = select(assets, holders.label("holders")).where(assets.c.stored_at.is_not(None))
    found = list((await connection.execute(stored.where(holders == 0))).all())
    digests = sorted(over)
    for start in range(0, len(digests), PART):
        part = stored.where(assets.c.sha256.in_(digests[start : start + PART]))
        found += (await connection.execute(part)).all()
    return [
        Garbage("payload" if row.payload else "file", row.sha256, row.size, row.name, "nothing needs it any more")
        for row in found
        if row.holders == len(over.get(row.sha256, ()))
    ]


async def _free(connection: AsyncConnection, over: Sequence[_Reference]) -> None:
    """Delete references, unless they were renewed since they were looked at."""
    for each in over:
        which = (asset_holders.c.sha256 == each.sha256) & (asset_holders.c.holder == each.holder)
        await connection.execute(delete(asset_holders).where(which, asset_holders.c.since == each.since))


async def _parts_of(blobs: AsyncIterator[Blob]) -> AsyncIterator[list[Blob]]:
    part: list[Blob] = []
    async for blob in blobs:
        part.append(blob)
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part

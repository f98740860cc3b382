"""Which assets there are and who needs them, as the database knows it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, case, literal, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from definitions.asset import Asset
from storage.database import db_now
from storage.errors import AssetMissing
from storage.schema import asset_holders, assets

USER = "user"
"""The holder of what a person or an app has put, and no run needs yet."""
_FILES = (assets.c.stored_at.is_not(None), ~assets.c.payload)


@dataclass(frozen=True, slots=True)
class Holder:
    """A reference. `until` None: for as long as Temporal knows the run."""

    name: str
    since: float
    until: float | None


@dataclass(frozen=True, slots=True)
class StoredAsset:
    """What is known of an asset; times in epoch seconds by the database's clock."""

    sha256: str
    size: int
    name: str
    media_type: str
    created_at: float
    holders: tuple[Holder, ...] = ()

    def asset(self) -> Asset:
        """The reference that runs carry."""
        return Asset(sha256=self.sha256, size=self.size, name=self.name, media_type=self.media_type)


async def announce(
    connection: AsyncConnection, asset: Asset, holder: str, seconds: float | None, *, payload: bool
) -> None:
    """Before any byte is put in its place: from now on nobody collects it."""
    insert = _insert(connection, assets).values(
        **asset.model_dump(), payload=payload, created_at=db_now(), stored_at=None
    )
    # One that a killed process left is begun anew.
    begun = case((assets.c.stored_at.is_(None), db_now()), else_=assets.c.created_at)
    await connection.execute(insert.on_conflict_do_update(index_elements=["sha256"], set_={"created_at": begun}))
    await _put_holder(connection, asset.sha256, holder, seconds)


async def claim(connection: AsyncConnection, sha256: str, size: int) -> bool:
    """Stand in for a row that there is not, until the end of the transaction. False: there is one."""
    insert = _insert(connection, assets).values(
        sha256=sha256, size=size, name="", media_type="", payload=False, created_at=db_now(), stored_at=None
    )
    return await connection.scalar(insert.on_conflict_do_nothing().returning(assets.c.sha256)) is not None


async def confirm(connection: AsyncConnection, sha256: str) -> None:
    """Its content lies in its place. Raises AssetMissing: putting it took so long that it was collected."""
    stored = case((assets.c.stored_at.is_(None), db_now()), else_=assets.c.stored_at)
    changed = await connection.execute(update(assets).where(assets.c.sha256 == sha256).values(stored_at=stored))
    if not changed.rowcount:
        raise AssetMissing(f"asset {sha256[:12]}… was collected while it was put: put it again")


async def hold(connection: AsyncConnection, sha256: str, holder: str, seconds: float | None) -> int:
    """Add a reference, or renew it; returns the asset's size. Raises AssetMissing."""
    there = select(assets.c.size).where(assets.c.sha256 == sha256, assets.c.stored_at.is_not(None))
    size = await connection.scalar(there.with_for_update(read=True))
    if size is None:
        raise unknown(sha256)
    await _put_holder(connection, sha256, holder, seconds)
    return int(size)


async def find(connection: AsyncConnection, sha256: str) -> StoredAsset:
    """A file that is stored. Raises AssetMissing."""
    query = select(assets).where(assets.c.sha256 == sha256, *_FILES)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise unknown(sha256)
    return _stored(row, await _holders(connection, [sha256]))


async def beginning_with(connection: AsyncConnection, prefix: str, limit: int) -> Sequence[str]:
    """The digests of files that begin so."""
    query = (
        select(assets.c.sha256)
        .where(assets.c.sha256.startswith(prefix, autoescape=True), *_FILES)
        .order_by(assets.c.sha256)
        .limit(limit)
    )
    return (await connection.scalars(query)).all()


async def page(
    connection: AsyncConnection, limit: int, after: tuple[float, str] | None = None
) -> Sequence[StoredAsset]:
    """Files, the newest first; `after`: created_at and sha256 of the last one of the page before."""
    query = select(assets).where(*_FILES)
    if after is not None:
        query = query.where(tuple_(assets.c.created_at, assets.c.sha256) < tuple_(literal(after[0]), literal(after[1])))
    query = query.order_by(assets.c.created_at.desc(), assets.c.sha256.desc()).limit(limit)
    rows = (await connection.execute(query)).all()
    holders = await _holders(connection, [row.sha256 for row in rows])
    return [_stored(row, holders) for row in rows]


def unknown(sha256: str) -> AssetMissing:
    """No row has it."""
    return AssetMissing(
        f"there is no asset {sha256[:12]}…: it was never put, or collected when nothing needed it any more "
        "(tieline assets list)"
    )


async def _put_holder(connection: AsyncConnection, sha256: str, holder: str, seconds: float | None) -> None:
    until = None if seconds is None else db_now() + literal(seconds)
    insert = _insert(connection, asset_holders).values(sha256=sha256, holder=holder, since=db_now(), until=until)
    renewed = {"since": insert.excluded.since, "until": insert.excluded.until}
    await connection.execute(insert.on_conflict_do_update(index_elements=["sha256", "holder"], set_=renewed))


async def _holders(connection: AsyncConnection, digests: Collection[str]) -> Mapping[str, list[Holder]]:
    found: dict[str, list[Holder]] = {digest: [] for digest in digests}
    query = select(asset_holders).where(asset_holders.c.sha256.in_(digests)).order_by(asset_holders.c.since)
    for row in await connection.execute(query):
        found[row.sha256].append(Holder(row.holder, row.since, row.until))
    return found


def _stored(row: Row[Any], holders: Mapping[str, list[Holder]]) -> StoredAsset:
    return StoredAsset(
        row.sha256, row.size, row.name, row.media_type, row.created_at, tuple(holders.get(row.sha256, ()))
    )


def _insert(connection: AsyncConnection, table: Any) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)

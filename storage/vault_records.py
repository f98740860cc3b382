"""Encrypted records as rows; what is in them is the vault's business."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.schema import vault_records

ACCOUNT_SECRETS = "accounts"
INTEGRATION_SECRETS = "integrations"
"""The vault's tables: what is typed in for an account, and what belongs to all accounts of an integration."""


@dataclass(frozen=True, slots=True, repr=False)
class VaultRecord:
    """One encrypted value and what binds it to its place."""

    table_name: str
    record_id: str
    field: str
    version: int
    kek_id: str
    ciphertext: bytes

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.table_name}/{self.record_id}/{self.field}"


_OF_RECORD = and_(
    vault_records.c.table_name == bindparam("of_table"), vault_records.c.record_id == bindparam("of_record")
)
_ALL = select(vault_records).where(_OF_RECORD)


async def read_records(connection: AsyncConnection, table: str, record_id: str) -> Sequence[VaultRecord]:
    """All fields of one record."""
    rows = (await connection.execute(_ALL, {"of_table": table, "of_record": record_id})).all()
    return [VaultRecord(*row) for row in rows]


async def stored_fields(connection: AsyncConnection, table: str, record_id: str) -> set[str]:
    """The names of a record's fields."""
    return {record.field for record in await read_records(connection, table, record_id)}


async def write_record(connection: AsyncConnection, record: VaultRecord) -> None:
    """Insert or replace one field."""
    values = {
        "table_name": record.table_name,
        "record_id": record.record_id,
        "field": record.field,
        "version": record.version,
        "kek_id": record.kek_id,
        "ciphertext": record.ciphertext,
    }
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = module.insert(vault_records).values(**values)
    changed = {name: values[name] for name in ("version", "kek_id", "ciphertext")}
    await connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changed))


_KEY = [vault_records.c.table_name, vault_records.c.record_id, vault_records.c.field]


async def delete_records(connection: AsyncConnection, table: str, record_id: str, field: str | None = None) -> None:
    """Delete one field of a record, or all of it."""
    where = [vault_records.c.table_name == table, vault_records.c.record_id == record_id]
    if field is not None:
        where.append(vault_records.c.field == field)
    await connection.execute(delete(vault_records).where(*where))


async def lock_records(connection: AsyncConnection) -> None:
    """Let nobody else write records until the transaction ends; readers go on.

    To be taken before any other lock. On SQLite every writing transaction is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE vault_records IN SHARE ROW EXCLUSIVE MODE"))


async def records_not_under(connection: AsyncConnection, kek_id: str, limit: int) -> Sequence[VaultRecord]:
    """Some records that another key wraps, in a fixed order."""
    query = select(vault_records).where(vault_records.c.kek_id != kek_id).order_by(*_KEY).limit(limit)
    return [VaultRecord(*row) for row in (await connection.execute(query)).all()]


async def count_by_key(connection: AsyncConnection) -> dict[str, int]:
    """How many records each key wraps."""
    query = select(vault_records.c.kek_id, func.count()).group_by(vault_records.c.kek_id)
    return {row[0]: row[1] for row in (await connection.execute(query)).all()}


async def replace_ciphertext(connection: AsyncConnection, old: VaultRecord, kek_id: str, ciphertext: bytes) -> bool:
    """Put a rewrapped value in place, unless the record was changed since it was read."""
    result = await connection.execute(
        update(vault_records)
        .where(
            vault_records.c.table_name == old.table_name,
            vault_records.c.record_id == old.record_id,
            vault_records.c.field == old.field,
            vault_records.c.version == old.version,
            vault_records.c.ciphertext == old.ciphertext,
        )
        .values(kek_id=kek_id, ciphertext=ciphertext)
    )
    return result.rowcount == 1

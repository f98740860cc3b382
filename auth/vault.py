"""Secrets at rest: an AES-256-GCM envelope for each record (NIST SP 800-38D).

    format (1) | length of the wrapped key (2, big endian) | wrapped key | nonce (12) | ciphertext and tag

A fresh data key encrypts each value; a key-encryption key wraps the data key. Both layers are bound to
format, table, record, field and version, so that a value opens at its own place only.
"""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from auth.errors import AuthError
from auth.keys import KekProvider, Keyring, KeyringError, load_keyring
from auth.secret import Secret
from storage.database import Database
from storage.vault_records import (
    VaultRecord,
    count_by_key,
    delete_records,
    lock_records,
    read_records,
    records_not_under,
    replace_ciphertext,
    write_record,
)

FORMAT = 1
NONCE_BYTES = 12
ROTATION_BATCH = 100


class UnreadableRecord(AuthError):
    """A stored secret cannot be opened; the text names the record only."""


class KeyInUse(AuthError):
    """A key cannot be dropped: stored secrets are encrypted with it."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: records rewrapped, and records that could not be opened."""

    key: str
    rewrapped: int
    unreadable: tuple[str, ...]


class Vault:
    """Encrypts on the way in and decrypts on the way out; never keeps a value."""

    def __init__(self, database: Database, keys: KekProvider) -> None:
        self._database = database
        self._keys = keys

    async def put(
        self, connection: AsyncConnection, table: str, record_id: str, field: str, version: int, value: bytes
    ) -> None:
        """Store a value in the caller's transaction, in place of the one before."""
        aad = _aad(table, record_id, field, version)
        kek_id, ciphertext = self._seal(value, aad)
        await write_record(connection, VaultRecord(table, record_id, field, version, kek_id, ciphertext))

    async def get(
        self, connection: AsyncConnection, table: str, record_id: str, field: str, *, version: int | None = None
    ) -> bytes | None:
        """One value, or None. Raises UnreadableRecord, also when it is another version than the caller knows of."""
        for record in await read_records(connection, table, record_id):
            if record.field == field:
                if version not in (None, record.version):
                    raise UnreadableRecord(f"stored secret {record.name} is of another time: save it again")
                return self.open(record)
        return None

    async def get_all(self, connection: AsyncConnection, table: str, record_id: str) -> dict[str, Secret]:
        """All values of a record by field, as text. Raises UnreadableRecord."""
        return {record.field: self._text(record) for record in await read_records(connection, table, record_id)}

    async def delete(self, connection: AsyncConnection, table: str, record_id: str, field: str | None = None) -> None:
        """Forget one field of a record, or all of it."""
        await delete_records(connection, table, record_id, field)

    def open(self, record: VaultRecord) -> bytes:
        """Decrypt a record by the key that it names.

        Raises:
            UnreadableRecord: its key is gone, or it was changed or moved.
        """
        aad = _aad(record.table_name, record.record_id, record.field, record.version)
        try:
            wrapped, nonce, sealed = _parts(record.ciphertext)
            dek = self._keys.unwrap(record.kek_id, wrapped, aad)
            return AESGCM(dek).decrypt(nonce, sealed, aad)
        except KeyringError as error:
            raise UnreadableRecord(f"stored secret {record.name} cannot be read: {error}") from None
        except (InvalidTag, ValueError):
            raise UnreadableRecord(f"stored secret {record.name} was changed or moved: save it again") from None

    async def rotate(self, *, batch: int = ROTATION_BATCH) -> Rotation:
        """Wrap every data key under the primary key. Interrupted, it goes on where it stopped when it is run again."""
        rewrapped, unreadable = 0, set[str]()
        while True:
            async with self._database.write() as connection:
                await lock_records(connection)
                primary = self._keys.primary_id  # asked each time: two rotations at once follow the later one
                found = await records_not_under(connection, primary, batch + len(unreadable))
                todo = [record for record in found if record.name not in unreadable]
                if not todo:
                    return Rotation(primary, rewrapped, tuple(sorted(unreadable)))
                for record in todo:
                    try:
                        kek_id, ciphertext = self._rewrapped(record)
                    except UnreadableRecord:
                        unreadable.add(record.name)
                        continue
                    rewrapped += await replace_ciphertext(connection, record, kek_id, ciphertext)

    async def records_by_key(self) -> Mapping[str, int]:
        """How many records each key wraps."""
        async with self._database.read() as connection:
            return await count_by_key(connection)

    @contextlib.asynccontextmanager
    async def without(self, kek_id: str) -> AsyncIterator[None]:
        """Make sure that no record needs a key, and let none be written, while the body drops it.

        Raises:
            KeyInUse: records do.
        """
        async with self._database.write() as connection:
            await lock_records(connection)
            count = (await count_by_key(connection)).get(kek_id, 0)
            if count:
                raise KeyInUse(f"key {kek_id!r} encrypts {count} stored secrets: tieline keys rotate")
            yield

    def _text(self, record: VaultRecord) -> Secret:
        try:
            return Secret(self.open(record).decode())
        except UnicodeDecodeError:
            raise UnreadableRecord(f"stored secret {record.name} is no text: save it again") from None

    def _seal(self, value: bytes, aad: bytes) -> tuple[str, bytes]:
        dek = AESGCM.generate_key(256)
        kek_id, wrapped = self._keys.wrap(dek, aad)
        nonce = os.urandom(NONCE_BYTES)
        return kek_id, _joined(wrapped, nonce + AESGCM(dek).encrypt(nonce, value, aad))

    def _rewrapped(self, record: VaultRecord) -> tuple[str, bytes]:
        """The same ciphertext under the primary key; opened once, so that nothing broken is carried on."""
        self.open(record)
        aad = _aad(record.table_name, record.record_id, record.field, record.version)
        wrapped, nonce, sealed = _parts(record.ciphertext)
        kek_id, again = self._keys.wrap(self._keys.unwrap(record.kek_id, wrapped, aad), aad)
        return kek_id, _joined(again, nonce + sealed)


async def open_keyring(database: Database, environment: SecretStr | None, path: Path) -> Keyring:
    """The keys that belong to this database. A key file is made only while no secret is stored.

    Raises:
        KeyringError: there is no key, or none that a stored secret was encrypted with.
    """
    async with database.read() as connection:
        needed = (await count_by_key(connection)).keys()
    return load_keyring(environment, path, needed=needed)


def _aad(table: str, record_id: str, field: str, version: int) -> bytes:
    return json.dumps([FORMAT, table, record_id, field, version]).encode()


def _joined(wrapped: bytes, rest: bytes) -> bytes:
    return bytes([FORMAT]) + len(wrapped).to_bytes(2, "big") + wrapped + rest


def _parts(ciphertext: bytes) -> tuple[bytes, bytes, bytes]:
    if len(ciphertext) < 3 or ciphertext[0] != FORMAT:
        raise ValueError("not a record of this format")
    end = 3 + int.from_bytes(ciphertext[1:3], "big")
    return ciphertext[3:end], ciphertext[end : end + NONCE_BYTES], ciphertext[end + NONCE_BYTES :]

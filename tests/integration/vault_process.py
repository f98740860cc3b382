"""A real process at work on the vault: `rotate URL KEY_FILE DIES_AT` or `read URL KEY_FILE`.

`rotate` ends itself by SIGKILL within its `DIES_AT`-th transaction (0: never). `read` opens every record again and
again, a line of standard input for each round, and answers with what it could not open.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from auth.keys import from_file
from auth.vault import UnreadableRecord, Vault
from storage.database import Database
from storage.schema import vault_records
from storage.vault_records import VaultRecord


class MortalDatabase(Database):
    """Kills its own process after the statements of a transaction, before these are committed."""

    def __init__(self, url: str, dies_at: int) -> None:
        super().__init__(url)
        self._left = dies_at

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._left -= 1
        async with super().write() as connection:
            yield connection
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


async def rotate(url: str, key_file: str, dies_at: str) -> None:
    database = MortalDatabase(url, int(dies_at))
    rotation = await Vault(database, from_file(Path(key_file))).rotate(batch=3)
    print(json.dumps([rotation.rewrapped, rotation.unreadable]))
    await database.dispose()


async def read(url: str, key_file: str) -> None:
    database = Database(url)
    vault = Vault(database, from_file(Path(key_file)))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        async with database.read() as connection:
            records = [VaultRecord(*row) for row in (await connection.execute(select(vault_records))).all()]
        print(json.dumps([len(records), [record.name for record in records if not _opens(vault, record)]]), flush=True)
    await database.dispose()


def _opens(vault: Vault, record: VaultRecord) -> bool:
    try:
        return vault.open(record) == record.record_id.encode()
    except UnreadableRecord:
        return False


if __name__ == "__main__":
    work, *arguments = sys.argv[1:]
    asyncio.run(rotate(*arguments) if work == "rotate" else read(*arguments))

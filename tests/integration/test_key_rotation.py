"""Rotation of the keys while everything else goes on: interrupted, resumed, twice at once, read all the time."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from auth.keys import Keyring, from_file
from auth.vault import KeyInUse, Vault
from storage.database import Database
from storage.schema import vault_records
from storage.vault_records import VaultRecord, read_records
from tests.fixtures.refreshing import Bench

ROOT = Path(__file__).parents[2]
NAMES = [f"record-{number:02}" for number in range(10)]


@pytest.fixture
async def filled(bench: Bench) -> Bench:
    """Ten records under the first key; each holds its own name."""
    for name in NAMES:
        await save(bench.vault, bench.database, name)
    return bench


async def save(vault: Vault, database: Database, name: str, version: int = 1) -> None:
    async with database.write() as connection:
        await vault.put(connection, "accounts", name, "token", version, name.encode())


async def record_of(bench: Bench, name: str) -> VaultRecord:
    async with bench.database.read() as connection:
        [record] = await read_records(connection, "accounts", name)
    return record


def another_process(bench: Bench) -> Vault:
    """A vault with a keyring of its own, read from the key file now."""
    return Vault(bench.database, from_file(bench.key_file))


async def unreadable(bench: Bench, vault: Vault) -> list[str]:
    """By name, what a vault cannot open, or opens to something else."""
    found = []
    async with bench.database.read() as connection:
        for name in NAMES:
            if await vault.get(connection, "accounts", name, "token") != name.encode():
                found.append(name)
    return found


async def test_a_rotation_wraps_every_record_anew_and_changes_no_value(filled: Bench) -> None:
    before = await record_of(filled, NAMES[0])
    keys = from_file(filled.key_file)
    primary = keys.add_primary()

    rotation = await Vault(filled.database, keys).rotate(batch=3)

    assert (rotation.key, rotation.rewrapped, rotation.unreadable) == (primary, 10, ())
    assert await filled.vault.records_by_key() == {primary: 10}
    assert await unreadable(filled, another_process(filled)) == []
    after = await record_of(filled, NAMES[0])
    assert after.ciphertext != before.ciphertext
    assert after.ciphertext[63:] == before.ciphertext[63:], "only the data key is wrapped anew"


async def test_a_second_rotation_under_the_same_key_has_nothing_to_do(filled: Bench) -> None:
    assert (await filled.vault.rotate()).rewrapped == 0


@pytest.mark.parametrize("batch", [1, 100])
async def test_what_cannot_be_opened_is_named_and_left_as_it_is(filled: Bench, batch: int) -> None:
    broken = [NAMES[0], NAMES[5], NAMES[9]]
    where = vault_records.c.record_id.in_(broken)
    async with filled.database.write() as connection:
        await connection.execute(update(vault_records).where(where).values(version=9))
    before = [await record_of(filled, name) for name in broken]
    keys = from_file(filled.key_file)
    keys.add_primary()

    rotation = await Vault(filled.database, keys).rotate(batch=batch)

    assert rotation.rewrapped == 7
    assert rotation.unreadable == tuple(f"accounts/{name}/token" for name in broken)
    assert [await record_of(filled, name) for name in broken] == before


async def test_a_process_that_was_started_before_reads_and_writes_with_the_new_key(filled: Bench) -> None:
    running = another_process(filled)
    rotating = from_file(filled.key_file)
    primary = rotating.add_primary()
    await Vault(filled.database, rotating).rotate()

    assert await unreadable(filled, running) == []
    await save(running, filled.database, NAMES[0], version=2)
    assert await running.records_by_key() == {primary: 10}


async def drop(bench: Bench, keys: Keyring, kek_id: str) -> None:
    async with Vault(bench.database, keys).without(kek_id):
        keys.drop(kek_id)


async def test_an_old_key_can_be_dropped_only_when_nothing_needs_it(filled: Bench) -> None:
    keys = from_file(filled.key_file)
    old, new = keys.primary_id, keys.add_primary()

    with pytest.raises(KeyInUse, match=f"key '{old}' encrypts 10 stored secrets: tieline keys rotate"):
        await drop(filled, keys, old)
    assert from_file(filled.key_file).ids == {old, new}
    await Vault(filled.database, keys).rotate()
    await drop(filled, keys, old)

    assert from_file(filled.key_file).ids == {new}
    assert await unreadable(filled, another_process(filled)) == []


async def test_nobody_writes_under_a_key_while_it_is_dropped(filled: Bench) -> None:
    running = another_process(filled)
    keys = from_file(filled.key_file)
    old, new = keys.primary_id, keys.add_primary()
    vault = Vault(filled.database, keys)
    await vault.rotate()
    async with vault.without(old):
        writer = asyncio.create_task(save(running, filled.database, NAMES[0], version=2))
        done, _ = await asyncio.wait({writer}, timeout=0.3)
        assert not done
        keys.drop(old)
    await writer

    assert await vault.records_by_key() == {new: 10}


async def test_two_rotations_at_once_end_under_one_key_and_lose_nothing(filled: Bench) -> None:
    both = [from_file(filled.key_file) for _ in range(2)]
    for keys in both:
        keys.add_primary()

    await asyncio.gather(*(Vault(filled.database, keys).rotate(batch=1) for keys in both))

    last = from_file(filled.key_file)
    assert await filled.vault.records_by_key() == {last.primary_id: 10}
    assert len(last.ids) == 3
    assert await unreadable(filled, another_process(filled)) == []


class OvertakenDatabase(Database):
    """Somebody else makes a new key before the third transaction."""

    def __init__(self, url: str, others: Keyring) -> None:
        super().__init__(url)
        self._others = others
        self._left = 3

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._left -= 1
        if self._left == 0:
            self._others.add_primary()
        async with super().write() as connection:
            yield connection


async def test_a_rotation_that_is_overtaken_by_another_one_goes_on_under_the_later_key(filled: Bench) -> None:
    keys, others = from_file(filled.key_file), from_file(filled.key_file)
    keys.add_primary()
    database = OvertakenDatabase(filled.url, others)

    rotation = await Vault(database, keys).rotate(batch=2)
    await database.dispose()

    assert rotation.key == others.primary_id
    assert rotation.rewrapped == 4 + 10
    assert await filled.vault.records_by_key() == {others.primary_id: 10}


async def test_secrets_that_are_saved_during_a_rotation_are_neither_lost_nor_waited_for_in_vain(filled: Bench) -> None:
    keys = from_file(filled.key_file)
    primary = keys.add_primary()

    async def save_some(names: list[str]) -> None:
        for version in (2, 3):
            async with filled.database.write() as connection:
                for name in names:
                    await filled.vault.put(connection, "accounts", name, "token", version, name.encode())

    await asyncio.gather(
        Vault(filled.database, keys).rotate(batch=2), save_some(NAMES[:5][::-1]), save_some(NAMES[5:][::-1])
    )

    assert [(await record_of(filled, name)).version for name in NAMES] == [3] * 10
    assert await filled.vault.records_by_key() == {primary: 10}
    assert await unreadable(filled, another_process(filled)) == []


@contextlib.asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.vault_process", *arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.communicate()


async def line_of(started: asyncio.subprocess.Process, say: bytes | None = None) -> Any:
    assert started.stdin is not None
    assert started.stdout is not None
    if say is not None:
        started.stdin.write(say)
        await started.stdin.drain()
    return await asyncio.wait_for(started.stdout.readline(), timeout=30)


async def rotated(bench: Bench, dies_at: int = 0) -> tuple[int, list[Any]]:
    """Exit status and answer of a process that rotates three records at a time."""
    async with process("rotate", bench.url, str(bench.key_file), str(dies_at)) as started:
        output, _ = await asyncio.wait_for(started.communicate(), timeout=30)
        assert started.returncode is not None
        return started.returncode, json.loads(output or b"[]")


async def test_a_killed_rotation_is_resumed_and_every_record_stays_readable_to_a_running_process(
    filled: Bench,
) -> None:
    async with process("read", filled.url, str(filled.key_file)) as reader:
        assert await line_of(reader) == b"ready\n"

        async def seen_by_the_reader() -> Mapping[str, Any]:
            return dict(zip(("records", "unreadable"), json.loads(await line_of(reader, b"\n")), strict=True))

        whole = {"records": 10, "unreadable": []}
        assert await seen_by_the_reader() == whole
        keys = from_file(filled.key_file)
        old, new = keys.primary_id, keys.add_primary()
        assert await seen_by_the_reader() == whole

        assert await rotated(filled, dies_at=3) == (-signal.SIGKILL, [])
        assert await filled.vault.records_by_key() == {old: 4, new: 6}, "the third batch was not committed"
        assert await seen_by_the_reader() == whole

        assert await rotated(filled, dies_at=1) == (-signal.SIGKILL, [])
        assert await filled.vault.records_by_key() == {old: 4, new: 6}
        assert await rotated(filled) == (0, [4, []])
        assert await filled.vault.records_by_key() == {new: 10}
        assert await seen_by_the_reader() == whole

        await drop(filled, keys, old)
        assert await seen_by_the_reader() == whole


async def test_records_are_readable_at_every_moment_of_a_rotation(filled: Bench) -> None:
    keys = from_file(filled.key_file)
    running = another_process(filled)
    rounds, broken = 0, []

    async def read_until(rotating: "asyncio.Task[Any]") -> None:
        nonlocal rounds
        while not rotating.done():
            broken.extend(await unreadable(filled, running))
            rounds += 1

    keys.add_primary()
    rotating = asyncio.create_task(Vault(filled.database, keys).rotate(batch=1))
    await read_until(rotating)

    assert broken == []
    assert rounds > 1
    assert (await rotating).rewrapped == 10

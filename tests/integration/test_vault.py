"""Secrets at rest, on SQLite and on PostgreSQL: what opens, what does not, and what a damaged record takes with it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from auth.errors import Unreadable
from auth.keys import Keyring, KeyringError
from auth.vault import UnreadableRecord, Vault, open_keyring
from runtime.assembly import open_stores
from runtime.settings import Settings
from storage.accounts import Account
from storage.database import Database
from storage.schema import vault_records
from storage.vault_records import ACCOUNT_SECRETS, VaultRecord, read_records
from tests.fixtures.refreshing import Bench

PLAIN = b"planted-4f1c9a"
KEYS = Keyring("k1", {"k1": bytes(range(32))})
BASIC = {"type": "basic"}
LOGIN = {"username": "ann", "password": "planted-password"}

FROZEN = VaultRecord(
    "accounts",
    "0f" * 16,
    "token",
    3,
    "k1",
    base64.b64decode(
        "AQA8l7lfWuonZaaCLaTHcv4mp+CC3dDYPkSQWb1ddmvnFJtdi/QZdI+p0WAbQKNLCbpLLD"
        "bz7eqiqM2hi0z2q3KrMqJyxD7I5M3pnQdWgqLQv5UO9K0qdO4m+MELILRBu+jquAgkhrPg"
    ),
)
"""Written by format 1, which every later version must still read."""


async def put(bench: Bench, record_id: str, field: str = "token", version: int = 1, value: bytes = PLAIN) -> None:
    async with bench.database.write() as connection:
        await bench.vault.put(connection, "accounts", record_id, field, version, value)


async def got(bench: Bench, record_id: str, field: str = "token") -> bytes | None:
    async with bench.database.read() as connection:
        return await bench.vault.get(connection, "accounts", record_id, field)


async def record_of(bench: Bench, record_id: str, field: str = "token") -> VaultRecord:
    async with bench.database.read() as connection:
        [record] = [each for each in await read_records(connection, "accounts", record_id) if each.field == field]
    return record


async def overwrite(bench: Bench, record_id: str, field: str = "token", **columns: object) -> None:
    """What somebody with access to the database, and without the key, can do."""
    where = (vault_records.c.record_id == record_id, vault_records.c.field == field)
    async with bench.database.write() as connection:
        await connection.execute(update(vault_records).where(*where).values(**columns))


async def test_a_value_comes_back_until_it_is_replaced_or_deleted(bench: Bench) -> None:
    assert await got(bench, "a") is None
    await put(bench, "a")
    assert await got(bench, "a") == PLAIN
    await put(bench, "a", version=2, value=b"newer")
    assert await got(bench, "a") == b"newer"
    async with bench.database.write() as connection:
        await bench.vault.delete(connection, "accounts", "a")
    assert await got(bench, "a") is None


async def test_all_fields_of_a_record_come_back_as_secrets_and_those_of_others_stay_out(bench: Bench) -> None:
    await put(bench, "a", "username", value="Jürgen".encode())
    await put(bench, "a", "password", value=b"")
    await put(bench, "b", "username")
    async with bench.database.read() as connection:
        found = await bench.vault.get_all(connection, "accounts", "a")

    assert {field: secret.reveal() for field, secret in found.items()} == {"username": "Jürgen", "password": ""}


async def test_one_field_can_be_forgotten(bench: Bench) -> None:
    await put(bench, "a", "username")
    await put(bench, "a", "password")
    async with bench.database.write() as connection:
        await bench.vault.delete(connection, "accounts", "a", "username")

    assert await got(bench, "a", "username") is None
    assert await got(bench, "a", "password") == PLAIN


async def test_a_value_is_stored_with_the_transaction_or_not_at_all(bench: Bench) -> None:
    await put(bench, "a")
    async with bench.database.write() as connection:
        await bench.vault.put(connection, "accounts", "a", "token", 2, b"newer")
        await connection.rollback()

    assert await got(bench, "a") == PLAIN


async def test_equal_values_are_stored_differently_and_never_in_clear(bench: Bench) -> None:
    await put(bench, "a")
    await put(bench, "b")
    one, other = await record_of(bench, "a"), await record_of(bench, "b")

    assert one.ciphertext != other.ciphertext
    assert PLAIN not in one.ciphertext
    assert PLAIN.decode() not in repr(one)


async def swap_records(bench: Bench) -> None:
    await put(bench, "b", value=b"of another account")
    one, other = await record_of(bench, "a"), await record_of(bench, "b")
    await overwrite(bench, "a", ciphertext=other.ciphertext)
    await overwrite(bench, "b", ciphertext=one.ciphertext)


async def swap_fields(bench: Bench) -> None:
    await put(bench, "a", "username", value=b"of another field")
    await overwrite(bench, "a", ciphertext=(await record_of(bench, "a", "username")).ciphertext)


async def bring_back_an_older_version(bench: Bench) -> None:
    older = await record_of(bench, "a")
    await put(bench, "a", version=2)
    await overwrite(bench, "a", ciphertext=older.ciphertext)


async def claim_another_version(bench: Bench) -> None:
    await overwrite(bench, "a", version=7)


async def move_to_another_table(bench: Bench) -> None:
    async with bench.database.write() as connection:
        await bench.vault.put(connection, "integrations", "a", "token", 1, b"of an integration")
        [other] = await read_records(connection, "integrations", "a")
    async with bench.database.write() as connection:
        where = (vault_records.c.table_name == "accounts", vault_records.c.record_id == "a")
        await connection.execute(update(vault_records).where(*where).values(ciphertext=other.ciphertext))


@pytest.mark.parametrize(
    "move",
    [swap_records, swap_fields, bring_back_an_older_version, claim_another_version, move_to_another_table],
)
async def test_a_value_opens_at_its_own_place_only(bench: Bench, move: Callable[[Bench], object]) -> None:
    await put(bench, "a")
    done = move(bench)
    assert hasattr(done, "__await__")
    await done

    with pytest.raises(UnreadableRecord, match="stored secret accounts/a/token cannot be read") as caught:
        await got(bench, "a")
    assert "another" not in str(caught.value).replace("belongs to another record", "")


async def test_a_key_that_is_not_there_is_named_with_the_place_where_it_is_missing(bench: Bench) -> None:
    await put(bench, "a")
    await overwrite(bench, "a", kek_id="lost")

    with pytest.raises(UnreadableRecord) as caught:
        await got(bench, "a")
    assert str(caught.value) == (
        f"stored secret accounts/a/token cannot be read: key 'lost' is not in {bench.key_file}: "
        "put it back, or restore its backup"
    )


def vault_of(keys: Keyring) -> Vault:
    """For records that never were in a database."""
    return Vault(Database("sqlite+aiosqlite://"), keys)


def test_a_record_of_the_first_format_is_still_read() -> None:
    assert vault_of(KEYS).open(FROZEN) == PLAIN


def altered(ciphertext: bytes) -> VaultRecord:
    return VaultRecord(FROZEN.table_name, FROZEN.record_id, FROZEN.field, FROZEN.version, FROZEN.kek_id, ciphertext)


@pytest.mark.parametrize("position", range(len(FROZEN.ciphertext)))
def test_a_bit_that_flipped_anywhere_is_noticed(position: int) -> None:
    """Format, length of the wrapped key, its nonce, the key, its tag; then nonce, ciphertext and tag of the value."""
    damaged = bytearray(FROZEN.ciphertext)
    damaged[position] ^= 1

    with pytest.raises(UnreadableRecord, match=f"accounts/{FROZEN.record_id}/token"):
        vault_of(KEYS).open(altered(bytes(damaged)))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 62, 63, 64, 75, 76, len(FROZEN.ciphertext) - 1])
def test_a_record_that_was_cut_short_is_noticed(length: int) -> None:
    with pytest.raises(UnreadableRecord):
        vault_of(KEYS).open(altered(FROZEN.ciphertext[:length]))


def test_a_record_with_something_behind_it_is_noticed() -> None:
    with pytest.raises(UnreadableRecord):
        vault_of(KEYS).open(altered(FROZEN.ciphertext + b"\0"))


def test_another_key_under_the_same_id_opens_nothing() -> None:
    with pytest.raises(UnreadableRecord):
        vault_of(Keyring("k1", {"k1": bytes(32)})).open(FROZEN)


async def test_bytes_that_are_no_text_are_told_without_showing_them(bench: Bench) -> None:
    await put(bench, "a", value=b"\xff" + PLAIN)
    async with bench.database.read() as connection:
        with pytest.raises(UnreadableRecord, match="accounts/a/token is no text") as caught:
            await bench.vault.get_all(connection, "accounts", "a")
    assert caught.value.__suppress_context__


async def account_with(bench: Bench, name: str) -> Account:
    return await bench.accounts.create(name, "crm", {}, LOGIN)


async def test_swapped_flipped_and_orphaned_records_take_only_their_own_accounts_with_them(bench: Bench) -> None:
    await bench.define(BASIC, key="crm")
    swapped, other, flipped, orphaned, whole = [
        await account_with(bench, name) for name in ("swapped", "other", "flipped", "orphaned", "whole")
    ]
    one, two = [await record_of(bench, each.id, "password") for each in (swapped, other)]
    await overwrite(bench, swapped.id, "password", ciphertext=two.ciphertext)
    await overwrite(bench, other.id, "password", ciphertext=one.ciphertext)
    bits = bytearray((await record_of(bench, flipped.id, "password")).ciphertext)
    bits[-20] ^= 0x10
    await overwrite(bench, flipped.id, "password", ciphertext=bytes(bits))
    await overwrite(bench, orphaned.id, "password", kek_id="k-of-last-year")
    resolver = bench.resolver()

    for account in (swapped, other, flipped, orphaned):
        with pytest.raises(Unreadable, match=f"account '{account.name}': .*accounts/{account.id}/password") as caught:
            await resolver.resolve_account(account.name)
        assert caught.value.code == "unreadable"
        assert not caught.value.retryable
        assert LOGIN["password"] not in str(caught.value)
    credential = await resolver.resolve_account(whole.name)
    assert credential.values["password"].reveal() == LOGIN["password"]

    await bench.accounts.set_secrets(flipped.name, {"password": "planted-password-2"})
    healed = await resolver.resolve_account(flipped.name)
    assert healed.values["password"].reveal() == "planted-password-2"


async def test_a_process_does_not_start_without_the_key_of_what_is_stored(database_url: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    async with open_stores(settings) as stores:
        async with stores.database.write() as connection:
            await stores.vault.put(connection, ACCOUNT_SECRETS, "a", "token", 1, PLAIN)
        key = stores.keys.primary_id
    backup = settings.key_file.rename(tmp_path / "backup.json")

    with pytest.raises(KeyringError, match=f"is missing, and secrets are stored that need {key}"):
        async with open_stores(settings):
            pytest.fail("it started")
    assert not settings.key_file.exists()

    wrong = Settings(data_dir=tmp_path / "other", database_url=database_url)
    wrong.data_dir.mkdir()
    wrong.key_file.touch(0o600)
    wrong.key_file.write_text(json.dumps({"primary": "k", "keys": {"k": base64.b64encode(bytes(32)).decode()}}))
    with pytest.raises(KeyringError, match=f"holds no key that a stored secret needs, which are {key}: restore"):
        async with open_stores(wrong):
            pytest.fail("it started")

    backup.rename(settings.key_file)
    async with open_stores(settings) as stores, stores.database.read() as connection:
        assert await stores.vault.get(connection, ACCOUNT_SECRETS, "a", "token") == PLAIN


@pytest.mark.parametrize("keys", ["", "k1", "k1:c2hvcnQ="])
async def test_nothing_is_ever_stored_in_clear_for_want_of_a_key(tmp_path: Path, keys: str) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "keys": keys})
    with pytest.raises(KeyringError, match="TIELINE_KEYS"):
        async with open_stores(settings):
            pytest.fail("it started")


async def test_a_process_starts_when_only_some_secrets_lost_their_key(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await put(bench, "a")
    await put(bench, "b")
    await overwrite(bench, "b", kek_id="lost")

    keys = await open_keyring(bench.database, None, bench.key_file)

    assert "need lost, not in" in caplog.text
    async with bench.database.read() as connection:
        assert await Vault(bench.database, keys).get(connection, "accounts", "a", "token") == PLAIN

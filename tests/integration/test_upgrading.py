"""A database of the first version, with accounts in it, is brought up to date."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from storage.accounts import account_named, insert_account
from storage.database import Database
from storage.migrate import MIGRATIONS
from storage.tokens import TokenRow, read_token

URL = "https://provider.example/token"
AUTH: dict[str, dict[str, Any]] = {
    "consent": {
        "type": "oauth2",
        "grant": "authorization_code",
        "authorize": {"endpoint": URL},
        "token": {"endpoint": URL},
    },
    "machine": {"type": "oauth2", "grant": "client_credentials", "token": {"endpoint": URL}},
    "login": {"type": "custom_token", "requests": [{"endpoint": URL, "capture": {"token": "token"}}]},
    "key": {"type": "api_token", "place": [{"in": "header", "name": "X-Key", "value": "{token}"}]},
    "password": {"type": "basic"},
    "open": {"type": "none"},
}
DAY = 86400.0


def _first_version(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


async def _add_integration(database: Database, key: str) -> None:
    document = {
        "kind": "integration",
        "key": key,
        "name": key,
        "base_url": "https://api.example.com",
        "auth": AUTH[key],
    }
    row = {"key": key, "document": json.dumps(document)}
    async with database.write() as connection:
        await connection.execute(
            text("INSERT INTO definition_versions VALUES ('integration', :key, 'v1', :document, 0)"), row
        )
        await connection.execute(text("INSERT INTO definitions VALUES ('integration', :key, 'v1')"), {"key": key})


async def _add_account(database: Database, name: str, integration: str, **token: Any) -> None:
    """As the first version left it: active, whatever brings its token."""
    async with database.write() as connection:
        await connection.execute(
            text(
                "INSERT INTO accounts (id, name, integration, parameters, state, version, created_at, updated_at) "
                "VALUES (:name, :name, :integration, '{}', 'active', 1, 0, 0)"
            ),
            {"name": name, "integration": integration},
        )
        columns = {"account_id": name, "state": "active", "version": 0, "fence": 0, "lease_until": 0, "failures": 0}
        columns |= token
        names = ", ".join(columns)
        values = ", ".join(f":{column}" for column in columns)
        await connection.execute(text(f"INSERT INTO tokens ({names}) VALUES ({values})"), columns)


@pytest_asyncio.fixture
async def first_version(empty_database_url: str) -> AsyncIterator[Database]:
    """With an account of each kind, `X-with` holding a token and `X-without` none."""
    database = Database(empty_database_url)
    async with database.write() as connection:
        await connection.run_sync(_first_version)
    for key in AUTH:
        await _add_integration(database, key)
        await _add_account(database, f"{key}-with", key, version=1)
        await _add_account(database, f"{key}-without", key)
    yield database
    await database.dispose()


async def _standing(database: Database, name: str) -> tuple[str, str | None, TokenRow]:
    async with database.read() as connection:
        account, row = await account_named(connection, name), await read_token(connection, name)
    assert row is not None
    return account.state, account.cause, row


async def test_an_account_that_nobody_connected_yet_stands_as_a_new_one_does(first_version: Database) -> None:
    await first_version.migrate()
    async with first_version.write() as connection:
        await insert_account(connection, "new", "new", "consent", {}, connected=False)
    state, cause, row = await _standing(first_version, "consent-without")
    new_state, new_cause, new = await _standing(first_version, "new")
    assert (state, cause) == (new_state, new_cause) == ("not_connected", None)
    assert (row.state, row.version, row.last_error, row.refresh_at) == (
        new.state,
        new.version,
        new.last_error,
        new.refresh_at,
    )


async def test_every_other_account_stays_active(first_version: Database) -> None:
    await first_version.migrate()
    names = [f"{key}-{has}" for key in AUTH for has in ("with", "without")]
    found = {name: await _standing(first_version, name) for name in names if name != "consent-without"}
    assert {state for state, _, _ in found.values()} == {"active"}
    assert {row.state for _, _, row in found.values()} == {"active"}


@pytest.mark.parametrize(
    ("lived", "left", "ahead"),
    [
        pytest.param(20 * DAY, 10 * DAY, 7 * DAY, id="long-before"),
        pytest.param(20 * DAY, 3 * DAY, 7 * DAY, id="at-once"),
        pytest.param(1 * DAY, 3 * DAY, DAY, id="of-one-that-lives-shorter-than-a-week"),
        pytest.param(20 * DAY, 0.5 * DAY, None, id="not-within-the-last-day"),
    ],
)
async def test_a_refresh_token_with_an_end_is_warned_of(
    first_version: Database, lived: float, left: float, ahead: float | None
) -> None:
    ends = time.time() + left
    await _add_account(
        first_version, "ending", "consent", version=1, issued_at=ends - left - lived, refresh_expires_at=ends
    )
    await first_version.migrate()
    _, _, row = await _standing(first_version, "ending")
    assert row.warn_at == (None if ahead is None else pytest.approx(ends - ahead))

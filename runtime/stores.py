"""What a process keeps of its own: database, keys, and what is built on them. Needs no Temporal, and imports none."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from auth.accounts import Accounts
from auth.api_tokens import ApiTokens
from auth.host_keys import HostKeys
from auth.keys import Keyring
from auth.vault import Vault, open_keyring
from runtime.asset_settings import open_blobs
from runtime.settings import Settings, make_data_dir
from storage.assets import AssetStore
from storage.database import Database
from storage.definitions import DefinitionStore


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one installation."""

    settings: Settings
    database: Database
    keys: Keyring
    vault: Vault
    definitions: DefinitionStore
    accounts: Accounts
    host_keys: HostKeys
    api_tokens: ApiTokens
    assets: AssetStore


@contextlib.asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """Open the database, migrated, and the keyring; no key that fits, no start.

    Raises:
        SettingsError: the data folder cannot be made.
        DatabaseUnavailable, StorageError: the database cannot be used.
        KeyringError: there is no key, or none that fits.
    """
    make_data_dir(settings)
    database = Database(settings.database_url)
    try:
        await database.migrate()
        keys = await open_keyring(database, settings.keys, settings.key_file)
        vault = Vault(database, keys)
        definitions = DefinitionStore(database)
        accounts = Accounts(database, vault, definitions)
        host_keys = HostKeys(database, definitions)
        folder = settings.data_dir / "assets"
        assets = AssetStore(database, folder, open_blobs(settings, folder), retention=settings.asset_retention)
        yield Stores(settings, database, keys, vault, definitions, accounts, host_keys, ApiTokens(database), assets)
    finally:
        await database.dispose()

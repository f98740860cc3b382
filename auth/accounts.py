"""Connected accounts: created and changed with everything checked first, and never showing a secret."""

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.errors import AuthError
from auth.host_key_lines import checked_lines, policy_of
from auth.secret import MULTI_LINE_FIELDS, SHORT, SecretError, check_secret
from auth.vault import UnreadableRecord, Vault
from definitions.auth import SftpAuth
from definitions.auth.simple import HostKeyPolicy
from definitions.integration import Integration
from net.sftp_errors import SftpError
from storage.accounts import (
    DISCONNECTED,
    Account,
    account_named,
    accounts_of,
    all_accounts,
    bump_account,
    delete_account,
    insert_account,
    lock_account,
)
from storage.database import Database
from storage.definitions import DefinitionStore
from storage.errors import AlreadyExists, NotFound
from storage.host_keys import replace_lines
from storage.tokens import TokenRow, lock_tokens_of, read_token
from storage.vault_records import ACCOUNT_SECRETS, INTEGRATION_SECRETS, read_records, stored_fields
from storage.waiters import wake_for_account

logger = logging.getLogger(__name__)

_OF_KEY = frozenset({"private_key", "passphrase", "certificate"})
"""The secrets of an SFTP account that are of use only together."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class AccountError(AuthError):
    """An account cannot be created, changed or deleted like this; the text says what to do."""


class Accounts:
    """The accounts of one installation."""

    def __init__(self, database: Database, vault: Vault, definitions: DefinitionStore) -> None:
        self._database = database
        self._vault = vault
        self._definitions = definitions

    async def create(
        self,
        name: str,
        integration: str,
        parameters: Mapping[str, str],
        secrets: Mapping[str, str],
        host_keys: Sequence[str] = (),
        confirmed_by: str = "whoever created the account",
    ) -> Account:
        """Create an account with its parameter values and secrets; of an SFTP server, with the keys that are its own.

        Raises:
            AccountError, SecretError, HostKeyError: something is missing, unknown or unfit.
            NotFound: there is no such integration. AlreadyExists: the name is taken.
        """
        _check_name(name)
        account_id = uuid.uuid4().hex
        await self._check_login_key(integration, account_id, secrets)
        async with self._database.write() as connection:
            model = await self._integration(connection, integration)
            values = checked_parameters(model, parameters)
            _check_secrets(model, secrets)
            shared = await stored_fields(connection, INTEGRATION_SECRETS, integration)
            _check_complete(model, {*secrets, *shared})
            trusted = _checked_host_keys(model, host_keys)
            await insert_account(connection, account_id, name, integration, values, connected=not model.by_consent)
            await replace_lines(connection, account_id, (), trusted, who=confirmed_by, why="the account was created")
            await self._save(connection, ACCOUNT_SECRETS, account_id, 1, secrets)
            return await account_named(connection, name)

    async def check_new(self, name: str, integration: str, parameters: Mapping[str, str]) -> Integration:
        """What can be said about a new account before anybody is asked for secrets, or its server for its keys.

        Raises:
            AccountError: the name or a parameter is unfit.
            NotFound: there is no such integration. AlreadyExists: the name is taken.
        """
        _check_name(name)
        async with self._database.read() as connection:
            model = await self._integration(connection, integration)
            checked_parameters(model, parameters)
            try:
                await account_named(connection, name)
            except NotFound:
                return model
        raise AlreadyExists("account", name)

    async def list(self) -> Sequence[Account]:
        """Sorted by name."""
        async with self._database.read() as connection:
            return await all_accounts(connection)

    async def get(self, name: str) -> Account:
        """Raises NotFound."""
        async with self._database.read() as connection:
            return await account_named(connection, name)

    async def secret_names(self, account: Account) -> Sequence[str]:
        """Which of its own secrets an account has; never what they are."""
        async with self._database.read() as connection:
            return sorted(await stored_fields(connection, ACCOUNT_SECRETS, account.id))

    async def token_of(self, account: Account) -> TokenRow | None:
        """When its token expires and is renewed; None when it has, or had, none."""
        async with self._database.read() as connection:
            row = await read_token(connection, account.id)
        return row if row is not None and row.version else None

    async def missing_secrets(self, integration: Integration, given: Iterable[str]) -> Sequence[str]:
        """The secrets that somebody must still hand in: required, not given, and not the integration's own."""
        async with self._database.read() as connection:
            shared = await stored_fields(connection, INTEGRATION_SECRETS, integration.key)
        return _missing(integration, {*given, *shared})

    async def set_secrets(self, name: str, secrets: Mapping[str, str]) -> Account:
        """Replace some secrets; the account is usable again and its token is fetched anew.

        Of one that a person connected, the consent is what brings tokens: it, and its state, stay as they are.

        Raises:
            SecretError: one is unknown or unfit. NotFound: there is no such account.
        """
        account = await self.get(name)
        await self._check_login_key(account.integration, account.id, secrets)
        async with self._database.write() as connection:
            account = await account_named(connection, name)
            model = await self._integration(connection, account.integration)
            _check_secrets(model, secrets)
            version = await bump_account(connection, account.id, revives=not model.by_consent)
            await self._save(connection, ACCOUNT_SECRETS, account.id, version, secrets)
            if not model.by_consent:
                await self._vault.delete(connection, "tokens", account.id, "token")
            return await account_named(connection, name)

    async def set_integration_secrets(self, key: str, secrets: Mapping[str, str]) -> Sequence[Account]:
        """Save secrets that all accounts of an integration share, an OAuth client's for instance; returns them.

        An account's own secret of the same name goes before it.

        Raises:
            SecretError: one is unknown or unfit. NotFound: there is no such integration.
        """
        await self._check_login_key(key, None, secrets)
        async with self._database.write() as connection:
            model = await self._integration(connection, key)
            _check_secrets(model, secrets)
            await lock_tokens_of(connection, key)
            for account in await accounts_of(connection, key):
                with contextlib.suppress(NotFound):  # deleted meanwhile
                    revives = not model.by_consent and account.state != DISCONNECTED
                    await bump_account(connection, account.id, revives=revives)
            records = await read_records(connection, INTEGRATION_SECRETS, key)
            version = max((record.version for record in records), default=0) + 1
            await self._save(connection, INTEGRATION_SECRETS, key, version, secrets)
            return await accounts_of(connection, key)

    async def delete(self, name: str) -> None:
        """Delete an account, its secrets, and its bindings to subjects.

        Raises:
            AccountError: a profile still binds it. NotFound: there is none.
        """
        async with self._database.write() as connection:
            account = await account_named(connection, name)
            if not await lock_account(connection, account.id):
                raise NotFound("account", name)
            if bound := await self._bindings(connection, name):
                raise AccountError(
                    f"account {name!r} is bound in {', '.join(bound)}: bind another one first, "
                    f"as in tieline profiles set {bound[0].replace('/', ' ')} ACCOUNT"
                )
            await wake_for_account(connection, account.id, "the account was deleted")
            await self._vault.delete(connection, ACCOUNT_SECRETS, account.id)
            for table in ("tokens", "connects"):
                await self._vault.delete(connection, table, account.id)
            await delete_account(connection, account.id)

    async def bindings_of(self, name: str) -> Sequence[str]:
        """Where profiles bind this account, as `profile/adapter`."""
        async with self._database.read() as connection:
            return await self._bindings(connection, name)

    async def _bindings(self, connection: AsyncConnection, name: str) -> Sequence[str]:
        return [
            f"{profile.name}/{adapter}"
            for profile in await self._definitions.profiles(connection)
            for adapter, binding in profile.adapters.items()
            if binding.account == name
        ]

    async def _integration(self, connection: AsyncConnection, key: str) -> Integration:
        found = await self._definitions.read(connection, "integration", key)
        assert isinstance(found, Integration), "the kind was asked for"
        return found

    async def _check_login_key(self, integration: str, account_id: str | None, secrets: Mapping[str, str]) -> None:
        """What no server could take is told now, not at the first login. Before any transaction that writes: to open
        an encrypted key takes time. `account_id`: None for what all accounts of the integration share.

        Raises SecretError, NotFound.
        """
        if not secrets.keys() & _OF_KEY:
            return
        async with self._database.read() as connection:
            model = await self._integration(connection, integration)
            if not isinstance(model.auth, SftpAuth):
                return
            stored: dict[str, str] = {}
            own = [(ACCOUNT_SECRETS, account_id)] if account_id is not None else []
            for table, record_id in ((INTEGRATION_SECRETS, integration), *own):
                for record in await read_records(connection, table, record_id):
                    if record.field in _OF_KEY - secrets.keys():
                        with contextlib.suppress(UnreadableRecord):  # it is to be replaced, too
                            stored[record.field] = self._vault.open(record).decode()
        together = {**stored, **secrets}
        if "private_key" in together:
            await asyncio.to_thread(_check_opens, together)

    async def _save(
        self, connection: AsyncConnection, table: str, record_id: str, version: int, secrets: Mapping[str, str]
    ) -> None:
        for field, value in sorted(secrets.items()):  # in one order, whoever saves: two never wait for each other
            await self._vault.put(connection, table, record_id, field, version, value.encode())


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise AccountError(f"account name {name!r}: letters, digits and _ . - only, at most 64")


def checked_parameters(integration: Integration, given: Mapping[str, str]) -> dict[str, str]:
    """The parameter values of an account: what was given, else the defaults.

    Raises:
        AccountError: one is unknown, missing, or does not match its pattern.
    """
    for name in given:
        if name not in integration.parameters:
            raise AccountError(
                f"integration {integration.key!r} has no parameter {name!r}{_near(name, integration.parameters)}"
            )
    values: dict[str, str] = {}
    for name, parameter in integration.parameters.items():
        value = given.get(name, parameter.default)
        if value is None:
            raise AccountError(f"integration {integration.key!r} needs parameter {name!r}: --param {name}=VALUE")
        if parameter.pattern is not None and not re.fullmatch(parameter.pattern, value):
            raise AccountError(f"parameter {name!r} does not match its pattern {parameter.pattern}")
        values[name] = value
    return values


def _checked_host_keys(integration: Integration, given: Sequence[str]) -> Sequence[str]:
    auth = integration.auth
    if not isinstance(auth, SftpAuth) or auth.host_key is HostKeyPolicy.INSECURE:
        if given:
            policy_of(integration)  # says why there is no place for any
        return ()
    if not given:
        raise AccountError(
            f"integration {integration.key!r} asks for the keys of the account's server (auth.host_key: "
            f"{auth.host_key}): --host-key 'ssh-ed25519 AAAA…', --host-key SHA256:…, or --host-key @FILE "
            "(over HTTP, host_keys)"
        )
    return checked_lines(auth.host_key, given)


def _check_secrets(integration: Integration, secrets: Mapping[str, str]) -> None:
    known, tls = integration.secret_fields(), integration.tls
    pem = tls.secret_names() if tls else frozenset()
    for field, value in secrets.items():
        if field not in known:
            raise SecretError(f"integration {integration.key!r} has no secret {field!r}{_near(field, known)}")
        check_secret(field, value, multi_line=field in MULTI_LINE_FIELDS or field in pem)
        if len(value) < SHORT and not known[field].identifier:
            logger.warning(
                "secret %r has fewer than %d characters: it is easy to guess, and may not be masked where a provider "
                "quotes it; replace it with a longer one if the provider allows that",
                field,
                SHORT,
            )


def _check_opens(secrets: Mapping[str, str]) -> None:
    from net.ssh_keys import read_login_key  # asyncssh is slow to import, and most accounts are of no SFTP server

    passphrase = secrets.get("passphrase")
    try:
        read_login_key(secrets["private_key"], passphrase, secrets.get("certificate"))
    except SftpError as error:
        missing = not passphrase and "passphrase" in str(error)
        option = ": --secret passphrase=env:VARIABLE" if missing else ""
        raise SecretError(f"secret 'private_key': {error}{option}") from None


def _check_complete(integration: Integration, given: set[str]) -> None:
    if isinstance(integration.auth, SftpAuth) and not given & {"password", "private_key"}:
        raise AccountError(
            f"integration {integration.key!r} needs a password or a private key: --secret password=env:VARIABLE or "
            "--secret private_key=file:PATH"
        )
    missing = _missing(integration, given)
    if missing:
        options = " ".join(f"--secret {field}=env:VARIABLE" for field in missing)
        raise AccountError(f"integration {integration.key!r} needs secret {', '.join(missing)}: {options}")


def _missing(integration: Integration, given: set[str]) -> list[str]:
    return [name for name, field in integration.secret_fields().items() if not field.optional and name not in given]


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(names) or 'none'}"

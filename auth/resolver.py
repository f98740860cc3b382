"""From adapter, profile and subject to a credential: read at the moment a step runs, forgotten within seconds."""

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.credential import Credential, OpenAccount
from auth.errors import (
    Misconfigured,
    NeedsReconnect,
    NoSubject,
    TokenUnavailable,
    Unbound,
    UnknownAdapter,
    UnknownProfile,
    Unreadable,
    suggestion,
)
from auth.refresh import Refresher, TokenState
from auth.refresh_plan import TRAVEL, Ahead
from auth.secret import Secret
from auth.standing import died, well_again
from auth.token_error import ErrorClass
from auth.vault import UnreadableRecord, Vault
from definitions.auth import BasicAuth, SftpAuth
from definitions.integration import Integration
from definitions.profile import Profile
from definitions.refs import CredentialRef
from net.redaction import LIVE_SECRETS
from storage.accounts import DISCONNECTED, NEEDS_RECONNECT, account_by_id, account_named
from storage.bindings import account_of_subject, hold_subject
from storage.database import Database
from storage.definitions import DefinitionStore
from storage.errors import DatabaseUnavailable, NotFound, UnreadableDefinition
from storage.host_keys import trusted_lines
from storage.tokens import end_token, lock_token, revive_token
from storage.vault_records import ACCOUNT_SECRETS, INTEGRATION_SECRETS
from storage.waiters import Waiter, put_waiter

SECONDS_KEPT = 5.0
MAX_KEPT = 1024

REFUSED = "credential_refused"
"""Cause of an account whose SFTP server does not take its secrets."""


@dataclass(frozen=True, slots=True)
class _Kept:
    credential: Credential
    until: float
    """By the process's monotonic clock."""


class CredentialResolver:
    """Resolves for one process; what it decrypts it keeps for 5 seconds, and never past the token's expiry."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        definitions: DefinitionStore,
        refresher: Refresher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._vault = vault
        self._definitions = definitions
        self._refresher = refresher
        self._clock = clock
        self._kept: OrderedDict[CredentialRef, _Kept] = OrderedDict()

    async def resolve(self, ref: CredentialRef) -> Credential:
        """What the reference stands for now, with a valid token.

        Raises:
            CredentialError: there is none; says whether asking again can help, and who must do what.
        """
        kept = self._kept.get(ref)
        if kept is not None and self._clock() < kept.until:
            return kept.credential
        with _told(about=str(ref)):
            async with self._database.read() as connection:
                opened = await self._open(connection, await self._account_name(connection, ref))
        credential, seconds = await self._credential(opened)
        self._keep(ref, _Kept(credential, self._clock() + seconds))
        return credential

    async def resolve_account(self, name: str) -> Credential:
        """The credential of an account, whatever profiles bind it, for a person who asks. Raises CredentialError."""
        return (await self._credential(await self._opened(name), anew=True))[0]

    async def renew(self, credential: Credential) -> Credential:
        """The account's credential read anew, its token renewed unless somebody else did that meanwhile.

        For a credential that the provider refused. Where nothing changed, the same versions come back.

        Raises:
            CredentialError: there is none any more.
        """
        self._forget(credential.account_id)
        opened = await self._opened(credential.account)
        return (await self._credential(opened, rejected_version=credential.token_version))[0]

    async def renew_ahead(self, account_id: str, host: str | None, client: str | None) -> Ahead:
        """Renew the account's token if it is due; see `Refresher.renew_ahead`.

        Raises:
            CredentialError: it could not be renewed; what is stored is as it was.
            DatabaseUnavailable: nobody knows what is due.
        """
        async with self._database.read() as connection:
            account = await account_by_id(connection, account_id)
            if account is None:
                return Ahead.NOT_DUE
            with _legible(about=f"account {account.name!r}"):
                opened = await self._open(connection, account.name)
        if account.state == DISCONNECTED or not opened.integration.auth.renews:
            return Ahead.NEVER
        return await self._refresher.renew_ahead(opened, host, client)

    async def park(self, waiter: Waiter) -> bool:
        """Have a run woken when its reference leads to a working account; False: it does so already, look again.

        The transaction that reads that the account is dead is the one that registers the run.

        Raises:
            CredentialError: the reference leads nowhere any more.
        """
        ref = waiter.ref
        with _told(about=str(ref)):
            async with self._database.write() as connection:
                await self._definitions.hold(connection)
                await hold_subject(connection, ref.profile, ref.adapter, ref.subject)
                opened = await self._open(connection, await self._account_name(connection, ref))
                dead = await self._refresher.is_dead(connection, opened)
                if dead:
                    await put_waiter(connection, waiter, opened.account.id)
        return dead

    async def note_dead(self, credential: Credential, cause: str, told: NeedsReconnect) -> None:
        """Only a person can help an account whose SFTP server was asked, unless it was changed since it was read."""
        self._forget(credential.account_id)
        opened = await self._opened(credential.account)
        async with self._database.write() as connection:
            row = await lock_token(connection, credential.account_id)
            account = await account_by_id(connection, credential.account_id)
            if row is None or account is None or account.version != credential.account_version:
                return
            await end_token(connection, account.id, f"{ErrorClass.PERMANENT_GRANT}:{cause}")
            await died(connection, opened, cause, told, row.now)

    async def note_well(self, credential: Credential) -> None:
        """An account that was said to be dead works after all: whoever waits for it is woken."""
        async with self._database.write() as connection:
            row = await lock_token(connection, credential.account_id)
            account = await account_by_id(connection, credential.account_id)
            if row is None or account is None or account.version != credential.account_version:
                return
            await revive_token(connection, account.id)
            await well_again(connection, account.id, row.now)
        self._forget(credential.account_id)

    async def revive(self, account_id: str, version: int) -> None:
        """Get a token newer than this version for an account that runs wait for, and wake them.

        The one that was there proves nothing, though it has not expired: the provider may have refused it.

        Raises:
            CredentialError: it does not work. DatabaseUnavailable: nobody knows.
        """
        async with self._database.read() as connection:
            account = await account_by_id(connection, account_id)
        if account is not None:
            opened = await self._opened(account.name)
            await self._credential(opened, rejected_version=version)
            await self._refresher.note_well(opened)

    async def open(self, name: str) -> OpenAccount:
        """An account with its integration and secrets, whatever its state. Raises CredentialError."""
        return await self._opened(name)

    def _forget(self, account_id: str) -> None:
        for ref in [ref for ref, kept in self._kept.items() if kept.credential.account_id == account_id]:
            del self._kept[ref]

    def _keep(self, ref: CredentialRef, kept: _Kept) -> None:
        self._kept[ref] = kept
        self._kept.move_to_end(ref)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def _opened(self, name: str) -> OpenAccount:
        with _told(about=f"account {name!r}"):
            async with self._database.read() as connection:
                return await self._open(connection, name)

    async def _account_name(self, connection: AsyncConnection, ref: CredentialRef) -> str:
        try:
            profile = await self._definitions.read(connection, "profile", ref.profile)
        except NotFound as error:
            raise UnknownProfile(
                f"there is no profile {ref.profile!r}.{suggestion(ref.profile, error.known)}",
                action=f"apply one, or bind an account: tieline profiles set {ref.profile} {ref.adapter} ACCOUNT",
            ) from None
        assert isinstance(profile, Profile), "the kind was asked for"
        binding = profile.adapters.get(ref.adapter)
        if binding is None:
            raise UnknownAdapter(
                f"profile {ref.profile!r} binds no adapter {ref.adapter!r}.{suggestion(ref.adapter, profile.adapters)}",
                action=f"bind an account: tieline profiles set {ref.profile} {ref.adapter} ACCOUNT",
            )
        return binding.account or await self._account_of_subject(connection, ref)

    async def _account_of_subject(self, connection: AsyncConnection, ref: CredentialRef) -> str:
        if ref.subject is None:
            raise NoSubject(
                f"adapter {ref.adapter!r} has an account for each subject in profile {ref.profile!r}, "
                "and the call names no subject",
                action="name one: --subject SUBJECT",
            )
        name = await account_of_subject(connection, ref.profile, ref.adapter, ref.subject)
        if name is None:
            raise Unbound(
                f"adapter {ref.adapter!r} has no account for subject {ref.subject!r} in profile {ref.profile!r}",
                action=f"bind one: tieline profiles set {ref.profile} {ref.adapter} ACCOUNT --subject {ref.subject}",
            )
        return name

    async def _open(self, connection: AsyncConnection, name: str) -> OpenAccount:
        try:
            account = await account_named(connection, name)
            integration = await self._definitions.read(connection, "integration", account.integration)
        except NotFound as error:
            raise Unbound(str(error), action=_create_or_apply(error, name), account=name) from None
        assert isinstance(integration, Integration), "the kind was asked for"
        shared = await self._vault.get_all(connection, INTEGRATION_SECRETS, integration.key)
        own = await self._vault.get_all(connection, ACCOUNT_SECRETS, account.id)
        _watch_for(integration, {**shared, **own})
        parameters = integration.parameter_values(account.parameters)
        if unfit := integration.unfit_parameters(parameters):
            raise _unfit(account.name, integration.key, unfit)
        keys: Sequence[str] = ()
        if isinstance(integration.auth, SftpAuth):
            keys = [each.line for each in await trusted_lines(connection, account.id)]
        return OpenAccount(account, integration, parameters, {**shared, **own}, keys)

    async def _credential(
        self, opened: OpenAccount, rejected_version: int | None = None, *, anew: bool = False
    ) -> tuple[Credential, float]:
        """The credential, and for how many seconds it may be kept."""
        account, integration = opened.account, opened.integration
        if account.state == DISCONNECTED:
            raise _disconnected(opened)
        if isinstance(integration.auth, SftpAuth) and account.cause == REFUSED and not anew:
            raise server_refuses(account.name)
        if not integration.auth.renews:
            values = {**opened.secrets, **_credentials(opened)}
            return _made(opened, opened.parameters, values), SECONDS_KEPT
        state = await self._refresher.ensure(opened, rejected_version, anew=anew)
        secret, plain = _captured(integration, state)
        for value in (state.token, *secret.values()):
            LIVE_SECRETS.add(value)
        values = {**opened.secrets, **{name: Secret(value) for name, value in secret.items()}}
        values["token"] = Secret(state.token)
        return _made(opened, {**opened.parameters, **plain}, values, state), _seconds_kept(state)


def _unfit(account: str, integration: str, names: Sequence[str]) -> Misconfigured:
    """A token follows the host, so a pattern that was narrowed counts for accounts that were there before."""
    told = ", ".join(sorted(names))
    return Misconfigured(
        f"parameter {told} of account {account!r} does not match the pattern that integration {integration!r} has now",
        account=account,
        action=f"create the account again with another {told}, or correct the pattern and apply it",
    )


def _made(
    opened: OpenAccount, parameters: Mapping[str, str], values: Mapping[str, Secret], state: TokenState | None = None
) -> Credential:
    return Credential(
        account_id=opened.account.id,
        account=opened.account.name,
        integration=opened.integration,
        parameters=parameters,
        values=values,
        account_version=opened.account.version,
        token_version=state.version if state else 0,
        expires_at=state.expires_at if state else None,
        host_keys=opened.host_keys,
        cause=opened.account.cause if opened.account.state == NEEDS_RECONNECT else None,
    )


def _seconds_kept(state: TokenState) -> float:
    return SECONDS_KEPT if state.expires_at is None else min(SECONDS_KEPT, state.expires_at - state.now - TRAVEL)


def _credentials(opened: OpenAccount) -> dict[str, Secret]:
    """The pair of HTTP Basic (RFC 7617 §2); both halves are ASCII, which was checked when they were saved."""
    secrets = opened.secrets
    if not isinstance(opened.integration.auth, BasicAuth) or not {"username", "password"} <= secrets.keys():
        return {}
    pair = f"{secrets['username'].reveal()}:{secrets['password'].reveal()}"
    credentials = base64.b64encode(pair.encode()).decode()
    LIVE_SECRETS.add(credentials)
    return {"credentials": Secret(credentials)}


def _captured(integration: Integration, state: TokenState) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What came with a token: secret, unless it is a part of every URL."""
    in_urls = integration.base_url_names()
    secret = {name: value for name, value in state.captured.items() if name not in in_urls}
    return secret, {name: value for name, value in state.captured.items() if name in in_urls}


def _watch_for(integration: Integration, secrets: Mapping[str, Secret]) -> None:
    fields = integration.secret_fields()
    for name, secret in secrets.items():
        if name not in fields or not fields[name].identifier:
            LIVE_SECRETS.add(secret.reveal())


def server_refuses(account: str) -> NeedsReconnect:
    """What an account is dead of whose secrets its SFTP server does not take: trying again could lock it."""
    return NeedsReconnect(
        f"the server refuses the secrets of account {account!r}",
        action=f"save the ones that it takes: tieline accounts set-secrets {account}; if these are right after all, "
        f"tieline accounts test {account}",
        account=account,
    )


def _disconnected(opened: OpenAccount) -> NeedsReconnect:
    name = opened.account.name
    return NeedsReconnect(
        f"account {name!r} was disconnected",
        action=f"connect it again: tieline accounts connect {name}"
        if opened.integration.by_consent
        else f"save its secrets again: tieline accounts set-secrets {name}",
        account=name,
    )


def _create_or_apply(error: NotFound, name: str) -> str:
    if error.thing == "account":
        return f"create it: tieline accounts create {name} --integration KEY"
    return f"apply the definition of {error.thing} {error.name!r}: tieline apply PATH"


@contextmanager
def _told(about: str) -> Iterator[None]:
    """A database that is away, and a record that cannot be read, as errors of a credential."""
    try:
        with _legible(about):
            yield
    except DatabaseUnavailable as error:
        raise TokenUnavailable(f"{about}: {error}", action="bring the database back: tieline doctor") from None


@contextmanager
def _legible(about: str) -> Iterator[None]:
    try:
        yield
    except UnreadableDefinition as error:
        raise Misconfigured(f"{about}: {error}", action="apply the definition again: tieline apply PATH") from None
    except UnreadableRecord as error:
        raise Unreadable(
            f"{about}: {error}",
            action="restore the key, or save the account's secrets again: tieline accounts set-secrets ACCOUNT",
        ) from None

"""What `(adapter, profile[, subject])` is bound to, before anything is started."""

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.errors import NoSubject, Unbound, Unfit, UnknownAdapter, suggestion
from definitions.auth import SftpAuth
from definitions.integration import Integration
from definitions.operation import HttpOperation, SftpBody
from definitions.profile import Profile
from definitions.refs import CredentialRef
from definitions.run import AnyOperation
from definitions.sftp import HttpSource, SftpUpload
from runtime.stores import Stores
from storage.accounts import account_named
from storage.bindings import account_of_subject
from storage.errors import NotFound


async def bound_for(stores: Stores, operation: AnyOperation, ref: CredentialRef) -> Integration:
    """The integration behind an operation's adapter, after a look at the adapters that its content comes through.

    Raises:
        Unfit: an adapter leads to an integration of the other protocol.
        NotFound, UnknownAdapter, Unbound, NoSubject: as of `bound_integration`, for each of them.
    """
    integration = await bound_integration(stores, ref)
    check_fits(operation, integration, ref.adapter)
    for adapter in _sources(operation):
        source = await bound_integration(stores, ref.model_copy(update={"adapter": adapter}))
        _check_source(operation, source, adapter)
    return integration


async def bound_integration(stores: Stores, ref: CredentialRef) -> Integration:
    """The integration behind an adapter: a run pins how its calls may be repeated by what it says now.

    Raises:
        NotFound: there is no such profile.
        UnknownAdapter: the profile has no such adapter.
        Unbound: the adapter's account, or that of the subject, is not there.
        NoSubject: the adapter is bound per subject, and none is given.
    """
    where = f"profile {ref.profile!r}, adapter {ref.adapter!r}"
    async with stores.database.read() as connection:  # one for all: it is most of what an app's start waits for
        profile = await stores.definitions.read(connection, "profile", ref.profile)
        assert isinstance(profile, Profile), "the kind was asked for"
        binding = profile.adapters.get(ref.adapter)
        if binding is None:
            action = f"tieline profiles set {ref.profile} {ref.adapter} ACCOUNT"
            raise UnknownAdapter(f"{where}: there is none.{suggestion(ref.adapter, profile.adapters)}", action=action)
        name = binding.account or await _of_subject(connection, ref, where)
        try:
            account = await account_named(connection, name)
        except NotFound:
            action = f"tieline accounts create {name} --integration KEY"
            raise Unbound(f"{where}: bound to account {name!r}, which does not exist", action=action) from None
        integration = await stores.definitions.read(connection, "integration", account.integration)
        assert isinstance(integration, Integration), "the kind was asked for"
        return integration


def check_fits(operation: AnyOperation, integration: Integration, adapter: str) -> None:
    """Raises Unfit: an SFTP operation through an HTTP integration, or the other way round."""
    sftp = isinstance(integration.auth, SftpAuth)
    if isinstance(operation, HttpOperation) and sftp:
        raise Unfit(
            f"adapter {adapter!r} leads to integration {integration.key!r}, which is SFTP",
            action="use an operation of type sftp.…, as tieline sftp does",
        )
    if not isinstance(operation, HttpOperation) and not sftp:
        raise Unfit(
            f"adapter {adapter!r} leads to integration {integration.key!r}, which is HTTP (auth.type "
            f"{integration.auth.type})",
            action="make a request, as tieline call does, or bind an account of an integration with auth.type sftp",
        )


def _sources(operation: AnyOperation) -> list[str]:
    """Adapters, each once."""
    match operation:
        case HttpOperation(body=SftpBody(adapter=adapter)):
            return [adapter]
        case SftpUpload(files=files):
            return list(dict.fromkeys(each.source.adapter for each in files if isinstance(each.source, HttpSource)))
    return []


def _check_source(operation: AnyOperation, integration: Integration, adapter: str) -> None:
    sftp = isinstance(integration.auth, SftpAuth)
    if isinstance(operation, HttpOperation) and not sftp:
        raise Unfit(
            f"adapter {adapter!r}, from which the body is to come, leads to integration {integration.key!r}, which is "
            f"HTTP (auth.type {integration.auth.type})",
            action="name an adapter of an integration with auth.type sftp",
        )
    if not isinstance(operation, HttpOperation) and sftp:
        raise Unfit(
            f"adapter {adapter!r}, from which a file is to come, leads to integration {integration.key!r}, which is "
            "SFTP",
            action="name an adapter of an HTTP API; a file of an SFTP server is fetched into an asset first, as "
            "tieline sftp get does, and that is sent",
        )


async def _of_subject(connection: AsyncConnection, ref: CredentialRef, where: str) -> str:
    if ref.subject is None:
        raise NoSubject(f"{where}: bound per subject, and the call names none", action="name one with --subject")
    name = await account_of_subject(connection, ref.profile, ref.adapter, ref.subject)
    if name is None:
        action = f"tieline profiles set {ref.profile} {ref.adapter} ACCOUNT --subject {ref.subject}"
        raise Unbound(f"{where}: subject {ref.subject!r} has no account", action=action)
    return name

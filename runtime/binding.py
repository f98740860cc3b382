"""What `(adapter, profile[, subject])` is bound to, before anything is started."""

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.errors import NoSubject, Unbound, Unfit, UnknownAdapter, suggestion
from definitions.auth import SftpAuth
from definitions.integration import Integration
from definitions.operation import HttpOperation
from definitions.profile import Profile
from definitions.refs import CredentialRef
from definitions.run import AnyOperation
from runtime.stores import Stores
from storage.accounts import account_named
from storage.bindings import account_of_subject
from storage.errors import NotFound


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


async def _of_subject(connection: AsyncConnection, ref: CredentialRef, where: str) -> str:
    if ref.subject is None:
        raise NoSubject(f"{where}: bound per subject, and the call names none", action="name one with --subject")
    name = await account_of_subject(connection, ref.profile, ref.adapter, ref.subject)
    if name is None:
        action = f"tieline profiles set {ref.profile} {ref.adapter} ACCOUNT --subject {ref.subject}"
        raise Unbound(f"{where}: subject {ref.subject!r} has no account", action=action)
    return name

"""What `(adapter, profile[, subject])` is bound to, before anything is started."""

from auth.errors import NoSubject, Unbound
from definitions.integration import Integration
from definitions.refs import CredentialRef
from runtime.assembly import Stores
from storage.bindings import account_of_subject
from storage.errors import NotFound


async def bound_integration(stores: Stores, ref: CredentialRef) -> Integration:
    """The integration behind an adapter: a run pins how its calls may be repeated by what it says now.

    Raises:
        NotFound: there is no such profile, adapter or account.
        NoSubject, Unbound: the adapter is bound per subject, and none is given or this one has no account.
    """
    profile = await stores.definitions.profile(ref.profile)
    binding = profile.adapters.get(ref.adapter)
    if binding is None:
        raise NotFound(f"adapter in profile {ref.profile!r} called", ref.adapter, profile.adapters)
    name = binding.account or await _of_subject(stores, ref)
    account = await stores.accounts.get(name)
    return await stores.definitions.integration(account.integration)


async def _of_subject(stores: Stores, ref: CredentialRef) -> str:
    where = f"profile {ref.profile!r}, adapter {ref.adapter!r}"
    if ref.subject is None:
        raise NoSubject(f"{where}: bound per subject, and the call names none", action="name one with --subject")
    async with stores.database.read() as connection:
        name = await account_of_subject(connection, ref.profile, ref.adapter, ref.subject)
    if name is None:
        action = f"tieline profiles set {ref.profile} {ref.adapter} ACCOUNT --subject {ref.subject}"
        raise Unbound(f"{where}: subject {ref.subject!r} has no account", action=action)
    return name

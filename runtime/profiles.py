"""Profiles, changed piece by piece: which account an adapter uses, and for whom. Each change is a new version."""

from collections.abc import Callable
from typing import Any

from auth.errors import AuthError, suggestion
from definitions.profile import Profile
from runtime.stores import Stores
from storage.bindings import account_of_subject, bind_subject, unbind_subject

Edit = Callable[[dict[str, Any]], object]
"""Changes a profile's fields in place."""


class BindingError(AuthError):
    """A binding cannot be made or taken away like this; the text says what to do."""


async def bind(stores: Stores, profile: str, adapter: str, account: str, subject: str | None = None) -> str:
    """Bind an adapter to an account, for everybody or for one subject; a profile that is not there yet is made.

    Returns `created`, `updated` or `unchanged`, of the profile.

    Raises:
        NotFound: there is no such account.
        BindingError: one subject's binding would take the account away from all others.
        ValidationError: a name that cannot be.
    """
    found = await stores.accounts.get(account)
    if subject is None:
        return await edit_profile(stores, profile, lambda data: data["adapters"].update({adapter: account}))
    action = await edit_profile(stores, profile, lambda data: _bind_per_subject(data, profile, adapter))
    async with stores.database.write() as connection:
        await bind_subject(connection, profile, adapter, subject, found.id)
    return action


async def unbind(stores: Stores, profile: str, adapter: str, subject: str | None = None) -> None:
    """Take an adapter out of a profile, or one subject's account.

    Raises:
        NotFound: there is no such profile.
        BindingError: it has no such adapter, or the subject no account.
    """
    adapters = (await stores.definitions.profile(profile)).adapters
    if adapter not in adapters:
        raise BindingError(f"profile {profile!r} has no adapter {adapter!r}.{suggestion(adapter, adapters)}")
    if subject is None:
        await edit_profile(stores, profile, lambda data: data["adapters"].pop(adapter, None))
        return
    async with stores.database.write() as connection:
        if await account_of_subject(connection, profile, adapter, subject) is None:
            raise BindingError(f"profile {profile!r}, adapter {adapter!r}: subject {subject!r} has no account")
        await unbind_subject(connection, profile, adapter, subject)


async def edit_profile(stores: Stores, name: str, edit: Edit) -> str:
    """Put an edited version of a profile into force; returns `created`, `updated` or `unchanged`.

    Raises:
        ValidationError: what was made of it is no profile.
    """

    def edited(before: Profile | None) -> Profile:
        empty: dict[str, Any] = {"kind": "profile", "name": name, "adapters": {}, "variables": {}}
        data = empty if before is None else before.model_dump(mode="json")
        edit(data)
        return Profile.model_validate(data)

    return (await stores.definitions.edit_profile(name, edited)).action


def _bind_per_subject(data: dict[str, Any], profile: str, adapter: str) -> None:
    """Binding one end user must not take the account away from all others."""
    before = data["adapters"].get(adapter)
    if before is not None and not before["per_subject"]:
        raise BindingError(
            f"profile {profile!r}, adapter {adapter!r}: bound to account {before['account']!r} for everybody; apply "
            f"the profile with {adapter}: {{per_subject: true}} first"
        )
    data["adapters"][adapter] = {"per_subject": True}

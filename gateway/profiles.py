"""`/v1/profiles`: which account an adapter uses in which environment."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, ValidationError

from auth.api_tokens import Scope
from definitions.base import Model
from definitions.profile import Binding, Profile
from gateway.access import GuardedRoute, needs
from gateway.door import Door, door_of
from gateway.problems import Problem
from runtime.profiles import bind, edit_profile, unbind

router = APIRouter(prefix="/v1/profiles", tags=["profiles"], route_class=GuardedRoute)
MANAGE = needs(Scope.MANAGE)

DoorOf = Annotated[Door, Depends(door_of)]


class Bind(Model):
    """Which account an adapter uses from now on."""

    account: str
    subject: str | None = Field(default=None, description="Bind for this end user of the app only")


class SetVariable(Model):
    """Variables are not secret."""

    value: str


class ProfileShown(BaseModel):
    """What each adapter stands for in one environment."""

    name: str
    adapters: Mapping[str, Binding]
    variables: Mapping[str, str]


class ProfileList(BaseModel):
    """Sorted by name."""

    profiles: Sequence[ProfileShown]


@router.get("", openapi_extra=MANAGE, name="List profiles")
async def list_profiles(door: DoorOf) -> ProfileList:
    """All environments."""
    store = door.stores.definitions
    return ProfileList(profiles=[_shown(await store.profile(name)) for name in await store.list("profile")])


@router.get("/{profile}", openapi_extra=MANAGE, name="Read a profile")
async def show(profile: str, door: DoorOf) -> ProfileShown:
    """One environment."""
    return _shown(await door.stores.definitions.profile(profile))


@router.put("/{profile}/adapters/{adapter}", openapi_extra=MANAGE, name="Bind an adapter")
async def bind_adapter(profile: str, adapter: str, asked: Bind, door: DoorOf) -> ProfileShown:
    """Bind an adapter to an account; a profile that is not there yet is made."""
    with _checked():
        await bind(door.stores, profile, adapter, asked.account, asked.subject)
    return _shown(await door.stores.definitions.profile(profile))


@router.delete("/{profile}/adapters/{adapter}", status_code=204, openapi_extra=MANAGE, name="Unbind an adapter")
async def unbind_adapter(
    profile: str,
    adapter: str,
    door: DoorOf,
    subject: Annotated[str | None, Query(description="Forget the account of this end user only")] = None,
) -> None:
    """Take an adapter out of a profile, or one end user's account."""
    await unbind(door.stores, profile, adapter, subject)


@router.put("/{profile}/variables/{name}", openapi_extra=MANAGE, name="Set a variable")
async def set_variable(profile: str, name: str, asked: SetVariable, door: DoorOf) -> ProfileShown:
    """Set a variable of a profile; a profile that is not there yet is made."""
    with _checked():
        await edit_profile(door.stores, profile, lambda data: data["variables"].update({name: asked.value}))
    return _shown(await door.stores.definitions.profile(profile))


def _shown(profile: Profile) -> ProfileShown:
    return ProfileShown(name=profile.name, adapters=profile.adapters, variables=profile.variables)


@contextlib.contextmanager
def _checked() -> Iterator[None]:
    """Names that cannot be, told as such."""
    try:
        yield
    except ValidationError as error:
        reasons = "; ".join(dict.fromkeys(fault["msg"] for fault in error.errors(include_input=False)))
        raise Problem(422, "invalid_request", f"a name in the URL cannot be: {reasons}") from None

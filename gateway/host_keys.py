"""`/v1/accounts/NAME/host-keys`: by what an SFTP server proves who it is. Public keys, shown as they are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from auth.api_tokens import Scope
from auth.host_keys import Role
from definitions.base import Model
from gateway.access import GuardedRoute, needs, who_asks
from gateway.door import Door, door_of
from runtime.host_keys import keys_meant, offered_keys

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], route_class=GuardedRoute)
MANAGE = needs(Scope.MANAGE)

DoorOf = Annotated[Door, Depends(door_of)]
GivenKeys = Annotated[
    tuple[str, ...],
    Field(max_length=100, description="Public keys, lines of known_hosts, or SHA256: fingerprints of what is offered"),
]


class TrustKeys(Model):
    """The keys that are the server's own from now on."""

    keys: GivenKeys = Field(min_length=1)
    why: str = Field(min_length=1, max_length=2000, description="Who said so; kept")
    who: str | None = Field(default=None, min_length=1, max_length=100)
    add: bool = Field(default=False, description="Keep those that are trusted, too")


class TrustedKey(BaseModel):
    """One that was confirmed, by whom, and what it counts for."""

    fingerprint: str
    key: str
    role: Role = Field(description="What it counts for at a login; `unused`: it is about another server")
    confirmed_by: str
    confirmed_at: datetime
    why: str


class TrustedKeys(BaseModel):
    """All of an account."""

    account: str
    keys: Sequence[TrustedKey]


class OfferedKey(BaseModel):
    """A key that the server presents now."""

    fingerprint: str
    key: str
    algorithm: str
    trusted: bool


class OfferedKeys(BaseModel):
    """What the server presents before any login."""

    account: str
    keys: Sequence[OfferedKey]


@router.get("/{name}/host-keys", openapi_extra=MANAGE, name="Read an account's host keys")
async def trusted(name: str, door: DoorOf) -> TrustedKeys:
    """The host keys that were confirmed for an SFTP account."""
    return await _trusted(door, name)


@router.put("/{name}/host-keys", openapi_extra=MANAGE, name="Trust host keys")
async def trust(name: str, asked: TrustKeys, request: Request, door: DoorOf) -> TrustedKeys:
    """Trust these in place of those before; runs that wait for that go on."""
    account = await door.stores.accounts.get(name)
    integration = await door.stores.definitions.integration(account.integration)
    lines = await keys_meant(door.stores.settings, integration, account.parameters, asked.keys)
    who = who_asks(request.state.caller, asked.who)
    await door.stores.host_keys.trust(name, lines, who=who, why=asked.why, add=asked.add)
    return await _trusted(door, name)


@router.post("/{name}/host-keys/look", openapi_extra=MANAGE, name="Look at a server's host keys")
async def look(name: str, door: DoorOf) -> OfferedKeys:
    """Ask the server which keys it presents; nothing is trusted by that."""
    account = await door.stores.accounts.get(name)
    integration = await door.stores.definitions.integration(account.integration)
    trusted = {each.fingerprint for each in await door.stores.host_keys.of(name) if each.role == "trusted"}
    _, offered = await offered_keys(door.stores.settings, integration, account.parameters)
    keys = [
        OfferedKey(
            fingerprint=each.fingerprint,
            key=each.public,
            algorithm=each.algorithm,
            trusted=each.fingerprint in trusted,
        )
        for each in offered
    ]
    return OfferedKeys(account=name, keys=keys)


async def _trusted(door: Door, name: str) -> TrustedKeys:
    keys = [
        TrustedKey(
            fingerprint=each.fingerprint,
            key=each.line,
            role=each.role,
            confirmed_by=each.added_by,
            confirmed_at=datetime.fromtimestamp(each.added_at, UTC),
            why=each.why,
        )
        for each in await door.stores.host_keys.of(name)
    ]
    return TrustedKeys(account=name, keys=keys)

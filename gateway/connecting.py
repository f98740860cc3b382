"""`/v1/accounts/{name}/connect` and `…/disconnect`: consent at a provider, asked for by an app and given in a browser.

The app hands the link to the person, and asks how the attempt stands until it has an outcome.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from auth.api_tokens import Scope
from auth.connect import EXPIRED
from auth.connect_error import nobody_came
from definitions.base import Model
from gateway.access import GuardedRoute, needs
from gateway.door import Door, door_of
from gateway.problems import Problem

router = APIRouter(prefix="/v1/accounts/{name}", tags=["accounts"], route_class=GuardedRoute)
MANAGE = needs(Scope.MANAGE)

DoorOf = Annotated[Door, Depends(door_of)]
AttemptId = Annotated[str, Path(description="As it came with the link", pattern="^[0-9a-f]{32}$")]


class Connect(Model):
    """How to connect an account."""

    replace: bool = Field(default=False, description="Another external account may take the place of the connected one")


class ConnectLink(BaseModel):
    """An attempt that waits for somebody to follow its link."""

    id: str
    account: str
    link: str = Field(description="For the person's browser, and nobody else's: whoever follows it connects")
    redirect_uri: str = Field(description="The provider must know it")
    expires_at: datetime


class ConnectProgress(BaseModel):
    """How an attempt stands."""

    id: str
    account: str
    outcome: str | None = Field(
        description="null while it is open; then connected, expired, or what went wrong, such as denied"
    )
    told: str | None = Field(description="The same for people, with the next step")
    expires_at: datetime = Field(
        description="When to stop asking; sooner than the link's end once its person came back"
    )


class DisconnectedShown(BaseModel):
    """What came of it."""

    account: str
    revoked: bool = Field(description="Whether the provider confirmed that the grant is over")
    told: str


@router.post("/connect", status_code=201, openapi_extra=MANAGE, name="Connect an account")
async def connect(name: str, door: DoorOf, asked: Connect | None = None) -> ConnectLink:
    """Make a link, good for ten minutes, by which a person connects this account in their browser."""
    await door.stores.accounts.get(name)
    if door.public_url is None:
        raise Problem(
            409,
            "no_public_url",
            "the HTTP API listens off loopback, and nobody has said under which URL browsers reach it",
            "set TIELINE_GATEWAY_URL=https://HOST and start it again",
        )
    invitation = await door.connecting.connector.invite(
        name, door.public_url, replaces=asked is not None and asked.replace
    )
    return ConnectLink(
        id=invitation.id,
        account=name,
        link=invitation.link,
        redirect_uri=invitation.redirect_uri,
        expires_at=datetime.fromtimestamp(invitation.expires_at, UTC),
    )


@router.get("/connect/{attempt}", openapi_extra=MANAGE, name="Read how an attempt to connect stands")
async def progress(name: str, attempt: AttemptId, door: DoorOf) -> ConnectProgress:
    """Whether somebody has consented; an outcome is told for an hour after the link's end."""
    account = await door.stores.accounts.get(name)
    found = await door.connecting.connector.progress(attempt)
    if found is None or found.account_id != account.id:
        raise Problem(
            404, "not_found", f"account {name!r} has no attempt {attempt} to connect; it is forgotten after an hour"
        )
    told = found.told if found.outcome else None  # before, it is what to tell should nothing more be heard of it
    if found.outcome == EXPIRED:
        told = found.told or nobody_came(name)
    return ConnectProgress(
        id=attempt,
        account=name,
        outcome=found.outcome,
        told=told,
        expires_at=datetime.fromtimestamp(found.expires_at, UTC),
    )


@router.post("/disconnect", openapi_extra=MANAGE, name="Disconnect an account")
async def disconnect(name: str, door: DoorOf) -> DisconnectedShown:
    """Stop an account, and revoke its grant at the provider where that can be done."""
    await door.stores.accounts.get(name)
    done = await door.connecting.disconnector.disconnect(name)
    return DisconnectedShown(account=name, revoked=done.revoked, told=done.told)

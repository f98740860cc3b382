"""`/v1/accounts`: connected accounts. Secrets go in and never come out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, SecretStr

from auth.api_tokens import Scope
from auth.host_key_lines import policy_and_warnings
from definitions.auth.simple import HostKeyPolicy
from definitions.base import Model
from definitions.integration import Integration
from definitions.run import Failure
from gateway.access import GuardedRoute, needs, who_asks
from gateway.door import Door, door_of
from gateway.host_keys import GivenKeys
from net.redaction import LIVE_SECRETS
from runtime.account_test import refresh_account, try_account
from runtime.host_keys import keys_for_new_account
from runtime.token_times import token_times
from storage.accounts import Account

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], route_class=GuardedRoute)
MANAGE = needs(Scope.MANAGE)

DoorOf = Annotated[Door, Depends(door_of)]
Secrets = Annotated[dict[str, SecretStr], Field(description="By field; they are stored encrypted and never shown")]


class CreateAccount(Model):
    """A new account of an integration."""

    name: str
    integration: str = Field(description="Key of the integration")
    parameters: dict[str, str] = Field(default_factory=dict)
    secrets: Secrets = Field(default_factory=dict)
    host_keys: GivenKeys = Field(default=(), description="Of an SFTP server: public keys, or SHA256: fingerprints")


class ReplaceSecrets(Model):
    """Those that are named are replaced, the others stay."""

    secrets: Secrets = Field(min_length=1)


class AccountShown(BaseModel):
    """An account without its secrets."""

    name: str
    integration: str
    parameters: Mapping[str, str]
    state: str
    cause: str | None
    version: int = Field(description="Grows whenever secrets or parameters change")
    created_at: datetime
    updated_at: datetime
    host_key: HostKeyPolicy | None = Field(default=None, description="How its SFTP server proves who it is")
    warnings: Sequence[str] = Field(default=(), description="What makes it less safe than it could be")


class AccountDetails(AccountShown):
    """The same, with what else is known about it."""

    secrets: Sequence[str] = Field(description="The names of its own secrets")
    bound_in: Sequence[str] = Field(description="Where profiles bind it, as profile/adapter")
    trusted_host_keys: int = Field(default=0, description="By how many keys its SFTP server can prove itself")
    token_version: int = Field(default=0, description="This and what follows stand in one that has, or had, a token")
    token_expires_at: datetime | None = None
    token_renews_at: datetime | Literal["on demand"] | None = None
    refresh_token_expires_at: datetime | None = None
    token_last_error: str | None = Field(default=None, description="Of the last renewal, as long as none has succeeded")


class AccountList(BaseModel):
    """Sorted by name."""

    accounts: Sequence[AccountShown]


class TestOutcome(BaseModel):
    """How the integration's test call ended."""

    account: str
    works: bool
    status: int | None
    failure: Failure | None


class Refreshed(BaseModel):
    """The token that an account has now."""

    account: str
    token_version: int
    expires_at: datetime | None


@router.post("", status_code=201, openapi_extra=MANAGE, name="Create an account", response_model_exclude_unset=True)
async def create(asked: CreateAccount, request: Request, door: DoorOf) -> AccountShown:
    """Create an account; everything is checked before anything is stored.

    Without `host_keys` where a person has to confirm them, the refusal (`host_keys_unconfirmed`) lists as `offered`
    what the server presents.
    """
    secrets, stores = revealed(asked.secrets), door.stores
    integration = await stores.accounts.check_new(asked.name, asked.integration, asked.parameters)
    keys = await keys_for_new_account(stores.settings, integration, asked.parameters, asked.host_keys)
    who = who_asks(request.state.caller, None)
    account = await stores.accounts.create(asked.name, asked.integration, asked.parameters, secrets, keys, who)
    return _shown(account, integration)


@router.get("", openapi_extra=MANAGE, name="List accounts", response_model_exclude_unset=True)
async def list_accounts(door: DoorOf) -> AccountList:
    """All accounts, with their states."""
    accounts = await door.stores.accounts.list()
    integrations = await door.stores.definitions.integrations(account.integration for account in accounts)
    return AccountList(accounts=[_shown(account, integrations.get(account.integration)) for account in accounts])


@router.get("/{name}", openapi_extra=MANAGE, name="Read an account", response_model_exclude_unset=True)
async def show(name: str, door: DoorOf) -> AccountDetails:
    """An account; of its secrets only the names, of its token only when it ends and is renewed."""
    accounts = door.stores.accounts
    account = await accounts.get(name)
    names, bound = await accounts.secret_names(account), await accounts.bindings_of(name)
    token = await accounts.token_of(account)
    integration = await door.stores.definitions.integration(account.integration)
    told = _shown(account, integration).model_dump(exclude_unset=True) | {"secrets": names, "bound_in": bound}
    if integration.auth.type == "sftp":
        told["trusted_host_keys"] = sum(each.lets_in for each in await door.stores.host_keys.of(name))
    return AccountDetails.model_validate(told | (dict(token_times(token)) if token else {}))


@router.put(
    "/{name}/secrets", openapi_extra=MANAGE, name="Replace an account's secrets", response_model_exclude_unset=True
)
async def set_secrets(name: str, asked: ReplaceSecrets, door: DoorOf) -> AccountShown:
    """Replace secrets; the account is usable again, and its token is fetched anew."""
    account = await door.stores.accounts.set_secrets(name, revealed(asked.secrets))
    return _shown(account, await door.stores.definitions.integration(account.integration))


@router.post("/{name}/test", openapi_extra=MANAGE, name="Test an account")
async def test(name: str, door: DoorOf) -> TestOutcome:
    """Make the integration's declared test call with this account."""
    return TestOutcome(**(await try_account(door.stores, name)).as_json())


@router.post("/{name}/refresh", openapi_extra=MANAGE, name="Refresh an account's token")
async def refresh(name: str, door: DoorOf) -> Refreshed:
    """Fetch a new token now."""
    return Refreshed(**await refresh_account(door.stores, name))


@router.delete("/{name}", status_code=204, openapi_extra=MANAGE, name="Delete an account")
async def delete(name: str, door: DoorOf) -> None:
    """Delete an account and its secrets; refused while a profile binds it."""
    await door.stores.accounts.delete(name)


def _shown(account: Account, integration: Integration | None) -> AccountShown:
    policy, warnings = policy_and_warnings(integration)
    told: dict[str, Any] = ({"host_key": policy} if policy else {}) | ({"warnings": warnings} if warnings else {})
    return AccountShown(
        name=account.name,
        integration=account.integration,
        parameters=account.parameters,
        state=account.state,
        cause=account.cause,
        version=account.version,
        created_at=datetime.fromtimestamp(account.created_at, UTC),
        updated_at=datetime.fromtimestamp(account.updated_at, UTC),
        **told,
    )


def revealed(secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    """The values, from now on kept out of every log line."""
    values = {field: secret.get_secret_value() for field, secret in secrets.items()}
    for value in values.values():
        LIVE_SECRETS.add(value)
    return values

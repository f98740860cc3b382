"""Does an account work? Its integration's test call, made through the same path as every run's, without a run."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activities.http import HttpActivities
from activities.parking import CallFailed
from auth.errors import AuthError
from definitions.auth import SftpAuth
from definitions.integration import Integration, TestCall
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call, CallResult, Failure, idempotency_key
from definitions.sftp import SftpResult
from definitions.templates import Template, TemplateError
from definitions.urls import UrlError, render_path
from runtime.account_login import log_in, next_step
from runtime.assembly import Stores, open_resolver
from runtime.by_account import ByAccount
from storage.accounts import Account


class NothingToTest(AuthError):
    """The integration declares no test call, or its accounts have nothing to renew."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test call ended."""

    account: str
    result: CallResult | SftpResult | None
    failure: Failure | None

    @property
    def told(self) -> str:
        """What happened, in a line."""
        if self.failure is not None:
            return self.failure.message
        assert self.result is not None, "a test call ends with a result or a failure"
        if isinstance(self.result, SftpResult):
            return f"logged in as {self.result.username}"
        return f"answered {self.result.status}"

    @property
    def action(self) -> str | None:
        """What to do about a failure."""
        return self.failure.suggested_action if self.failure else None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "account": self.account,
            "works": self.failure is None,
            "status": getattr(self.result or self.failure, "status", None),
            "failure": self.failure,
        }


async def try_account(stores: Stores, name: str) -> Outcome:
    """Make the declared test call with this account; log in to an SFTP server.

    Raises:
        NothingToTest: the integration declares no call.
        NotFound: there is no such account.
    """
    account = await stores.accounts.get(name)
    integration = await stores.definitions.integration(account.integration)
    if isinstance(integration.auth, SftpAuth):
        try:
            return Outcome(name, await log_in(stores, name), None)
        except CallFailed as error:
            action = next_step(name, error.failure)
            return Outcome(name, None, error.failure.model_copy(update={"suggested_action": action}))
    call = _test_call(integration, account)
    async with open_resolver(stores) as (resolver, http):
        try:
            result = await HttpActivities(ByAccount(resolver), resolver, http).make(call)
        except CallFailed as error:
            return Outcome(name, None, error.failure)
    return Outcome(name, result, None)


async def refresh_account(stores: Stores, name: str) -> dict[str, Any]:
    """Fetch a new token for this account now.

    Raises:
        NothingToTest: its integration's authentication has no tokens to fetch.
        CredentialError: the provider gave none.
    """
    account = await stores.accounts.get(name)
    integration = await stores.definitions.integration(account.integration)
    if not integration.auth.renews:
        raise NothingToTest(
            f"account {name!r}: integration {integration.key!r} uses {integration.auth.type}, which has no token to "
            f"fetch; replace its secrets with tieline accounts set-secrets {name}"
        )
    async with open_resolver(stores) as (resolver, _):
        credential = await resolver.renew(await resolver.resolve_account(name))
    expires = credential.expires_at
    return {
        "account": name,
        "token_version": credential.token_version,
        "expires_at": None if expires is None else datetime.fromtimestamp(expires, UTC),
    }


def _test_call(integration: Integration, account: Account) -> Call:
    if integration.test is None:
        raise NothingToTest(
            f"integration {integration.key!r} declares no test call: add one to its definition, for example "
            "test: {method: GET, path: me}"
        )
    return Call(
        operation=_operation(integration.test, integration.parameter_values(account.parameters), account.name),
        credential=CredentialRef(adapter=account.name, profile="test"),
        delivery=Delivery.SAFE,
        # A new one each time: the provider would answer a known one from memory, whatever became of the account.
        idempotency_key=idempotency_key(f"test/{uuid.uuid4()}"),
    )


def _operation(test: TestCall, parameters: Mapping[str, str], account: str) -> HttpOperation:
    try:
        path = render_path(test.path, parameters)
        query = [(name, Template.parse(text).render(parameters)) for name, text in test.query]
    except (TemplateError, UrlError) as error:
        raise NothingToTest(f"account {account!r}: its test call cannot be made: {error}") from None
    return HttpOperation(method=test.method, path=path, query=tuple(query), success=test.success)

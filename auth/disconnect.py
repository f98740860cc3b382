"""Disconnecting: the account stops at once, and the provider is told (RFC 7009) where it wants to be."""

import dataclasses
from dataclasses import dataclass

from auth.credential import OpenAccount
from auth.discovery import Discovery, DiscoveryFailed
from auth.exchange import Exchange
from auth.oauth2_sources import oauth2_request
from auth.redemption import UNBUILDABLE
from auth.resolver import CredentialResolver
from auth.token_record import StoredToken
from definitions.auth import OAuth2Auth
from definitions.auth.oauth2 import RequestFormat
from net.client import GuardedClient
from net.errors import NetError
from net.redaction import LIVE_SECRETS
from net.targets import parse_target
from storage.database import Database


@dataclass(frozen=True, slots=True)
class Disconnected:
    """What came of it. `left`: why the provider may still honour the grant; None when it was revoked."""

    account: str
    had_token: bool
    left: str | None

    @property
    def revoked(self) -> bool:
        """Whether the provider confirmed that the grant is over."""
        return self.had_token and self.left is None

    @property
    def told(self) -> str:
        """In a sentence or two."""
        if not self.had_token:
            return f"account {self.account}: disconnected; it held no token"
        if self.left is None:
            return f"account {self.account}: disconnected, and its grant revoked at the provider"
        return (
            f"account {self.account}: disconnected here, but the provider did not confirm that its grant is over "
            f"({self.left}): take it back in the provider's own settings"
        )


class Disconnector:
    """Disconnects accounts of renewing schemes."""

    def __init__(
        self, database: Database, resolver: CredentialResolver, exchange: Exchange, http: GuardedClient
    ) -> None:
        self._database = database
        self._resolver = resolver
        self._exchange = exchange
        self._http = http
        self._discovery = Discovery(http)

    async def disconnect(self, name: str) -> Disconnected:
        """Stop the account, revoke what it holds, and forget it. A second call revokes what a cut-off one left.

        Raises:
            CredentialError: there is no such account, or it is being renewed for long.
        """
        opened = await self._resolver.open(name)
        store = self._exchange.store
        async with self._exchange.held(opened, "") as (claim, _):
            async with self._database.write() as connection:
                await store.stop(connection, claim)
            token = claim.seen.token
            left = await revoke(self._http, self._discovery, opened, token) if token else None
            async with self._database.write() as connection:
                await store.forget(connection, claim)
        return Disconnected(name, token is not None, left)


async def revoke(http: GuardedClient, discovery: Discovery, opened: OpenAccount, token: StoredToken) -> str | None:
    """Tell the provider that a grant is over; returns why that could not be done, None when it was.

    The refresh token is named where there is one: its access tokens end with it (RFC 7009 §2.1).
    """
    try:
        opened = await discovery.complete(opened)
    except DiscoveryFailed as failed:
        return str(failed)
    auth = opened.integration.auth
    if not isinstance(auth, OAuth2Auth) or auth.revoke is None or auth.token is None:
        return "the integration names no revoke endpoint"
    given, hint = (token.refresh_token, "refresh_token") if token.refresh_token else (token.token, "access_token")
    stage = auth.token.model_copy(
        update={
            "endpoint": auth.revoke.endpoint,
            "params": {},
            "verb": "POST",
            "format": RequestFormat.FORM,
            "audience": auth.token.audience or auth.token.endpoint,  # one server: it is known by its token endpoint
        }
    )
    opened = dataclasses.replace(opened, parameters={**opened.parameters, **token.captured})
    try:
        request = oauth2_request(opened, auth, {"token": given, "token_type_hint": hint}, stage)
        reply = await http.send(request)
    except UNBUILDABLE as error:
        return LIVE_SECRETS.scrub(str(error))
    except NetError as error:
        return LIVE_SECRETS.scrub(str(error))
    if 200 <= reply.status < 300:
        return None
    return f"{parse_target(request.url).authority} answered {reply.status}"

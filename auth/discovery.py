"""An authorization server's endpoints from its issuer (RFC 8414), for integrations that name none themselves."""

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc8414 import get_well_known_url  # type: ignore[import-untyped]

from auth.credential import OpenAccount
from auth.errors import AuthError
from auth.refusal import Refusal, of_net_error, of_unbuildable
from auth.token_error import ErrorClass
from auth.token_request import token_request
from definitions.auth import OAuth2Auth
from definitions.auth.oauth2 import AuthorizeEndpoint, ClientAuth, RevokeEndpoint, TokenEndpoint
from definitions.templates import TemplateError
from definitions.urls import UrlError, render_url
from net.client import GuardedClient
from net.errors import NetError

SECONDS_KEPT = 3600.0
DEADLINE = 10.0
FAILURE_KEPT = 30.0
"""Seconds for which an issuer that could not be asked is left alone: thousands of accounts may be waiting for it."""


class DiscoveryFailed(AuthError):
    """The metadata could not be had, or cannot be trusted; nothing else was asked of the server."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail or refusal.code)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an authorization server says of itself, as far as it is used."""

    issuer: str
    token: str | None
    authorize: str | None
    revoke: str | None
    client_auths: tuple[str, ...]
    names_itself: bool
    """It promises `iss` in every authorization response (RFC 9207), so that one without is forged."""


class Discovery:
    """Fetches metadata and keeps them for an hour; that they could not be had, for so many seconds."""

    def __init__(self, http: GuardedClient, failure_kept: float = 0.0) -> None:
        self._http = http
        self._failure_kept = failure_kept
        self._kept: dict[str, tuple[float, Metadata]] = {}
        self._failed: dict[str, tuple[float, DiscoveryFailed]] = {}

    async def metadata(self, opened: OpenAccount) -> Metadata | None:
        """Of the integration's issuer; None when it names none.

        Raises:
            DiscoveryFailed: they could not be had, or are not this issuer's.
        """
        auth = opened.integration.auth
        if not isinstance(auth, OAuth2Auth) or auth.issuer is None:
            return None
        try:
            issuer = render_url(auth.issuer, opened.texts())
        except (TemplateError, UrlError) as error:
            raise DiscoveryFailed(of_unbuildable(error)) from None
        until, found = self._kept.get(issuer, (0.0, None))
        if found is None or time.monotonic() >= until:
            found = await self._fetched(opened, issuer)
            self._kept[issuer] = (time.monotonic() + SECONDS_KEPT, found)
        return found

    async def _fetched(self, opened: OpenAccount, issuer: str) -> Metadata:
        until, failed = self._failed.get(issuer, (0.0, None))
        if failed is not None and time.monotonic() < until:
            raise DiscoveryFailed(failed.refusal)
        try:
            return await self._fetch(opened, issuer)
        except DiscoveryFailed as error:
            if error.refusal.class_ is ErrorClass.TRANSIENT:
                self._failed[issuer] = (time.monotonic() + self._failure_kept, error)
            raise

    async def complete(self, opened: OpenAccount) -> OpenAccount:
        """The account with the endpoints that its integration leaves to discovery. Raises DiscoveryFailed."""
        auth = opened.integration.auth
        if not isinstance(auth, OAuth2Auth) or auth.issuer is None or auth.token is not None:
            return opened
        found = await self.metadata(opened)
        assert found is not None, "there is an issuer"
        if found.token is None:
            raise _untrusted("the metadata name no token_endpoint")
        changed: dict[str, Any] = {
            "token": TokenEndpoint(endpoint=found.token, client_auth=_client_auth(found.client_auths)),
            "authorize": auth.authorize or (AuthorizeEndpoint(endpoint=found.authorize) if found.authorize else None),
            "revoke": auth.revoke or (RevokeEndpoint(endpoint=found.revoke) if found.revoke else None),
        }
        integration = opened.integration.model_copy(update={"auth": auth.model_copy(update=changed)})
        return dataclasses.replace(opened, integration=integration)

    async def _fetch(self, opened: OpenAccount, issuer: str) -> Metadata:
        urls = (
            get_well_known_url(issuer, external=True),
            f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        )
        status = 404
        for url in urls:
            request = dataclasses.replace(token_request(opened, "GET", url, {}), deadline=DEADLINE)
            try:
                reply = await self._http.send(request)
            except NetError as error:
                raise DiscoveryFailed(dataclasses.replace(of_net_error(error), in_doubt=False)) from None
            if reply.status == 200:
                return _read(reply.body, issuer)
            status = reply.status
            if status != 404:
                break
        class_ = ErrorClass.TRANSIENT if status >= 500 or status == 429 else ErrorClass.CONFIGURATION
        raise DiscoveryFailed(Refusal(class_, "discovery", detail=f"the issuer's metadata answered {status}"))


def _read(body: bytes, issuer: str) -> Metadata:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise _untrusted("the metadata are no JSON object")
    if told.get("issuer") != issuer:  # RFC 8414 §3.3: else one server could speak for another
        raise _untrusted("the metadata name another issuer than the one that was asked")
    methods = told.get("token_endpoint_auth_methods_supported")
    return Metadata(
        issuer=issuer,
        token=_endpoint(told, "token_endpoint", issuer),
        authorize=_endpoint(told, "authorization_endpoint", issuer),
        revoke=_endpoint(told, "revocation_endpoint", issuer),
        client_auths=tuple(str(method) for method in methods) if isinstance(methods, list) else (),
        names_itself=told.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(told: dict[str, Any], name: str, issuer: str) -> str | None:
    value = told.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or "{" in value or "}" in value:
        raise _untrusted(f"{name} in the metadata is no URL")
    if urlsplit(value).scheme != "https" and urlsplit(issuer).scheme == "https":
        raise _untrusted(f"{name} in the metadata is not https")
    return value


def _client_auth(supported: tuple[str, ...]) -> ClientAuth:
    """RFC 8414 §2: `client_secret_basic` when nothing is said. A private key needs `auth.token` to say so."""
    ways = {
        "client_secret_basic": ClientAuth.BASIC,
        "client_secret_post": ClientAuth.BODY,
        "client_secret_jwt": ClientAuth.CLIENT_SECRET_JWT,
        "none": ClientAuth.NONE,
    }
    return next((way for name, way in ways.items() if name in supported), ClientAuth.BASIC)


def _untrusted(fault: str) -> DiscoveryFailed:
    return DiscoveryFailed(Refusal(ErrorClass.CONFIGURATION, "discovery", detail=fault))

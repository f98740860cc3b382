"""Who may come in: a token's scopes for each route, or this machine itself while no token was ever made."""

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from auth.api_tokens import ApiTokens, Scope, TokenRefused, plain_address
from auth.public_url import is_loopback
from gateway.door import door_of
from gateway.problems import Problem

log = logging.getLogger(__name__)

SCHEME = "token"
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Set by proxies: a request that came through one does not come from this machine."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: a token's name, or None for somebody at this machine."""

    token: str | None


def needs(scope: Scope) -> dict[str, Any]:
    """For a route's `openapi_extra`: what the documentation says is what is checked."""
    return {"security": [{SCHEME: [scope.value]}]}


class GuardedRoute(APIRoute):
    """A route that asks who is there before it reads the body; one that says no scope cannot be made."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Documented by its name as it is written."""
        super().__init__(path, endpoint, **{**options, "summary": options.get("summary") or options.get("name")})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, scope = super().get_route_handler(), Scope(self.openapi_extra["security"][0][SCHEME][0])  # type: ignore[index]

        async def guarded(request: Request) -> Response:
            request.state.caller = await admitted(request, scope)
            return await handle(request)

        return guarded


async def admitted(request: Request, scope: Scope, presented: str | None = None) -> Caller:
    """Who sends this request, if they may do what the scope stands for; `presented`: a token found elsewhere.

    Raises:
        Problem: 401 or 403.
    """
    tokens = door_of(request).stores.api_tokens
    presented = _presented(request) if presented is None else presented
    address = request.client.host if request.client else ""
    if presented is None:
        if _is_local(request, address) and not await tokens.are_used():
            return Caller(None)
        raise _unauthorized(
            "this needs an API token", "send Authorization: Bearer TOKEN; tieline tokens create makes one"
        )
    return await _holder(tokens, presented, address, scope)


async def _holder(tokens: ApiTokens, presented: str, address: str, scope: Scope) -> Caller:
    try:
        token = await tokens.verify(presented, address)
    except TokenRefused as refused:
        log.warning("refused from %s: %s", address, refused)
        raise _unauthorized(
            "the API token is not accepted: unknown, revoked, expired, or not good from this address",
            "look at tieline tokens list; the log says which it is",
            ', error="invalid_token"',
        ) from None
    if scope not in token.scopes:
        raise Problem(
            403,
            "insufficient_scope",
            f"token {token.name!r} lacks the scope {scope.value}",
            f"make one that has it: tieline tokens create NAME --scope {scope.value}",
            {"WWW-Authenticate": f'Bearer realm="tieline", error="insufficient_scope", scope="{scope.value}"'},
        )
    return Caller(token.name)


def _presented(request: Request) -> str | None:
    values = request.headers.getlist("authorization")
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer":
        raise _unauthorized("Authorization is not a single Bearer token", "send Authorization: Bearer TOKEN")
    return token.strip()


def _is_local(request: Request, address: str) -> bool:
    """Whether somebody at this machine asks: a proxy here asks for others, and mostly under a name of theirs."""
    found, name = plain_address(address), (request.url.hostname or "").rstrip(".").lower()
    at_hand = found is not None and found.is_loopback and (is_loopback(name) or plain_address(name) is not None)
    return at_hand and not any(name in request.headers for name in FORWARDED)


def _unauthorized(detail: str, action: str, more: str = "") -> Problem:
    return Problem(401, "unauthorized", detail, action, {"WWW-Authenticate": f'Bearer realm="tieline"{more}'})


def who_asks(caller: Caller, said: str | None) -> str:
    """A person is whom the caller says; the token cannot be said otherwise than it is."""
    if caller.token is None:
        return said or "somebody at this machine"
    return f"{said} (token {caller.token})" if said else f"token {caller.token}"

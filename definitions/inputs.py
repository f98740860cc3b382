"""Every input of an integration that may hold placeholders, with its place and the names that may stand in it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from definitions.auth import CustomTokenAuth, OAuth2Auth, TokenRequest
from definitions.base import Model
from definitions.integration import Integration
from definitions.placement import Place
from definitions.problems import Path
from definitions.urls import host_names, literal_port


class Input(NamedTuple):
    """A template, where it stands in the document, and what can fill it (besides `now` and `uuid`)."""

    path: Path
    text: str
    known: frozenset[str]
    address: bool = False
    """Whether it is the URL that something is sent to."""


def inputs(integration: Integration) -> Iterator[Input]:
    """All of them, in the order of the fields."""
    auth = integration.auth
    plain = frozenset(integration.parameters)
    stored = plain | frozenset(integration.secrets)
    placed = stored | auth.provides()
    in_base = plain | _captured(integration) | _filled_by_placements(integration)
    yield Input(("base_url",), integration.base_url, in_base, address=True)
    yield from _of_model(("send",), integration.send, ("headers", "query"), placed)
    if integration.test:
        yield Input(("test", "path"), integration.test.path, plain)
        for name, text in integration.test.query:
            yield Input(("test", "query", name), text, plain)
    for index, placement in enumerate(auth.place):
        yield Input(("auth", "place", index, "value"), placement.value, placed)
    known = stored | frozenset(auth.secret_fields())
    if isinstance(auth, OAuth2Auth):
        yield from _of_oauth2(auth, known | _captured(integration))
    if isinstance(auth, CustomTokenAuth):
        yield from _of_custom_token(auth, known)


def literal_ports(integration: Integration) -> frozenset[int]:
    """The ports that its addresses name themselves."""
    ports = (literal_port(item.text) for item in inputs(integration) if item.address)
    return frozenset(port for port in ports if port is not None)


def host_placeholders(integration: Integration) -> frozenset[str]:
    """The names that decide where something is sent."""
    return frozenset().union(*(host_names(item.text) for item in inputs(integration) if item.address))


def _captured(integration: Integration) -> frozenset[str]:
    auth = integration.auth
    return auth.captured() if isinstance(auth, OAuth2Auth | CustomTokenAuth) else frozenset()


def _filled_by_placements(integration: Integration) -> frozenset[str]:
    return frozenset(item.name for item in integration.auth.place if item.in_ is Place.PATH)


def _of_oauth2(auth: OAuth2Auth, known: frozenset[str]) -> Iterator[Input]:
    if auth.issuer:
        yield Input(("auth", "issuer"), auth.issuer, known, address=True)
    yield from _of_model(("auth",), auth, ("scopes",), known)
    for stage in ("token", "authorize", "refresh", "revoke"):
        endpoint = getattr(auth, stage)
        if endpoint:
            yield from _of_model(("auth", stage), endpoint, ("endpoint", "params", "headers", "audience"), known)
    if auth.jwt:
        fields = ("issuer", "subject", "audience", "key_id", "claims")
        yield from _of_model(("auth", "jwt"), auth.jwt, fields, known)


def _of_custom_token(auth: CustomTokenAuth, known: frozenset[str]) -> Iterator[Input]:
    """Each request may use what the ones before it captured, and the renewal all of it."""
    for index, request in enumerate(auth.requests):
        yield from _of_request(("auth", "requests", index), request, known)
        known |= frozenset(request.capture)
    if auth.refresh:
        yield from _of_request(("auth", "refresh"), auth.refresh, known)


def _of_request(path: Path, request: TokenRequest, known: frozenset[str]) -> Iterator[Input]:
    yield from _of_model(path, request, ("endpoint", "headers", "query"), known)
    if request.body:
        yield from _of_model((*path, "body"), request.body, ("values",), known)


def _of_model(path: Path, model: Model, fields: Iterable[str], known: frozenset[str]) -> Iterator[Input]:
    for field in fields:
        for where, text in _texts((*path, field), getattr(model, field, None)):
            yield Input(where, text, known, address=where == (*path, "endpoint"))


def _texts(path: Path, value: object) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts((*path, name), item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts((*path, index), item)

"""From an operation and a credential to the one request that goes out."""

from collections.abc import Set
from urllib.parse import parse_qsl, urlsplit

from activities.body import encode_body
from activities.sources import NO_SOURCES, Sources
from auth.credential import Credential
from auth.filling import fill
from auth.placement import Draft, place
from auth.tls import tls_options
from definitions.fields import Pairs
from definitions.integration import Integration
from definitions.operation import Delivery, FormBody, HttpOperation, MultipartBody
from definitions.placement import Place
from definitions.run import Call
from definitions.urls import build_url, literal_port, render_url
from net.errors import NetError
from net.headers import CREDENTIAL_HEADERS, RESERVED, check_header
from net.messages import Injected, OutboundRequest

USER_AGENT = ("User-Agent", "tieline")


class RequestError(ValueError):
    """The operation cannot be made into a request through this integration."""


def build_request(call: Call, credential: Credential, sources: Sources = NO_SOURCES) -> OutboundRequest:
    """Put together base URL, constants, operation and credential; what the caller says wins over the constants.

    Raises:
        ValueError: the operation is at fault: RequestError, UrlError, TemplateError, PlacementError.
        CredentialError: a placement or a secret is.
    """
    operation, integration = call.operation, credential.integration
    texts = credential.texts()
    base = render_url(integration.base_url, texts | _left_for_placements(integration))
    query = (*_constant_query(operation, integration, texts), *operation.query)
    url = build_url(base, operation.path, query, allowed_hosts=integration.hosts, allowed_ports=integration.ports)
    draft = place(
        credential, Draft(url, _headers(call, integration, texts), operation.body, _constant_names(integration))
    )
    content, media_type = encode_body(draft.body, sources)
    parts = urlsplit(base)
    return OutboundRequest(
        method=operation.method,
        url=draft.url,
        headers=_with_media_type(draft.headers, media_type),
        content=content,
        deadline=operation.timeout.total_seconds(),
        max_bytes=operation.max_bytes,
        injected=draft.injected,
        allowed_hosts=frozenset({parts.hostname or "", *integration.hosts}),
        tls=tls_options(integration, credential.values),
        ports=frozenset({*integration.ports, *_own_port(integration)}),
        stall=operation.stall_after.total_seconds(),
        overall=operation.transfer_timeout.total_seconds(),
        max_streamed=operation.max_asset_bytes,
        plain=operation.answer == "asset",
    )


def _own_port(integration: Integration) -> Set[int]:
    port = literal_port(integration.base_url)
    return frozenset() if port is None else frozenset({port})


def _headers(call: Call, integration: Integration, texts: dict[str, str]) -> tuple[tuple[str, str], ...]:
    operation = call.operation
    for name, value in operation.headers:
        _check_own(name, value)
    taken = {name.lower() for name, _ in operation.headers}
    if isinstance(operation.body, FormBody | MultipartBody):
        if "content-type" in taken:
            raise RequestError("a form or multipart body brings its own Content-Type: leave the header out")
        taken.add("content-type")
    added = (USER_AGENT, *_rendered(integration.send.headers, texts), *_key(call, integration))
    return (*_without(added, taken), *operation.headers)


def _without(pairs: Pairs, taken: Set[str]) -> Pairs:
    return tuple(pair for pair in pairs if pair[0].lower() not in taken)


def _constant_query(operation: HttpOperation, integration: Integration, texts: dict[str, str]) -> Pairs:
    if not integration.send.query:
        return ()
    in_path = parse_qsl(operation.path.partition("?")[2], keep_blank_values=True)
    taken = {name for name, _ in (*operation.query, *in_path)}
    return tuple(pair for pair in _rendered(integration.send.query, texts) if pair[0] not in taken)


def _check_own(name: str, value: str) -> None:
    try:
        check_header(name, value)
    except NetError as error:
        raise RequestError(str(error)) from None
    if name.lower() in RESERVED:
        raise RequestError(f"header {name} belongs to the connection: an operation may not set it")
    if name.lower() in CREDENTIAL_HEADERS:
        raise RequestError(f"header {name} carries credentials: an account brings it, an operation may not set it")


def _key(call: Call, integration: Integration) -> Pairs:
    """Writes carry a key wherever the provider reads one; a call started as keyed is never repeated without."""
    if call.delivery is Delivery.KEYED and integration.idempotency is None:
        raise RequestError(
            f"integration {integration.key!r} had an idempotency header when this run started and has none now: "
            "the call may not be repeated safely"
        )
    if integration.idempotency is None or call.operation.method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        return ()
    return ((integration.idempotency.header, call.idempotency_key),)


def _rendered(templates: dict[str, str], texts: dict[str, str]) -> Pairs:
    return tuple((name, fill(text, texts)) for name, text in templates.items())


def _left_for_placements(integration: Integration) -> dict[str, str]:
    """Placeholders in the base URL's path that a placement fills after the URL has been checked."""
    return {item.name: f"{{{item.name}}}" for item in integration.auth.place if item.in_ is Place.PATH}


def _constant_names(integration: Integration) -> Injected:
    """Constants may hold secrets too, and no other origin has a use for them."""
    return Injected(
        headers=frozenset(name.lower() for name in integration.send.headers), query=frozenset(integration.send.query)
    )


def _with_media_type(headers: tuple[tuple[str, str], ...], media_type: str | None) -> tuple[tuple[str, str], ...]:
    if media_type is None or any(name.lower() == "content-type" for name, _ in headers):
        return headers
    return (*headers, ("Content-Type", media_type))

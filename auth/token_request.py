"""What every token request has in common, whatever asks for it."""

from collections.abc import Mapping
from urllib.parse import urlencode

from auth.credential import OpenAccount
from auth.filling import fill
from auth.tls import tls_options
from definitions.inputs import literal_ports
from definitions.urls import encode_query_value, render_url
from net.messages import OutboundRequest

MAX_BYTES = 256 * 1024
"""Of a token endpoint's answer; the largest real ones (JWTs with many claims) stay below 64 KiB."""

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def render_all(templates: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Every template filled."""
    return {name: fill(text, texts) for name, text in templates.items()}


def endpoint_url(template: str, texts: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The endpoint's URL with these parameters behind the ones that it has."""
    fill(template, texts)  # the URL is put together elsewhere, from the same values
    url = render_url(template, texts)
    pairs = "&".join(f"{encode_query_value(name)}={encode_query_value(value)}" for name, value in query.items())
    return f"{url}{'&' if '?' in url else '?'}{pairs}" if pairs else url


def form(fields: Mapping[str, str]) -> bytes:
    """`application/x-www-form-urlencoded`."""
    return urlencode(fields).encode()


def token_request(
    opened: OpenAccount, method: str, url: str, headers: Mapping[str, str], content: bytes = b"", media_type: str = ""
) -> OutboundRequest:
    """A request that follows no redirect, since a token endpoint that moves takes the secret with it."""
    given = {name.lower() for name in headers}
    defaults = {"Accept": JSON} | ({"Content-Type": media_type} if media_type else {})
    return OutboundRequest(
        method=method,
        url=url,
        headers=(
            *((name, value) for name, value in defaults.items() if name.lower() not in given),
            *headers.items(),
        ),
        content=content,
        max_bytes=MAX_BYTES,
        follow_redirects=False,
        tls=tls_options(opened.integration, opened.secrets),
        ports=frozenset({*opened.integration.ports, *literal_ports(opened.integration)}),
    )

"""URLs that stay where they belong: under an integration's base, whatever the path and the values say."""

import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import SplitResult, quote, unquote, urlsplit

from definitions.templates import Template

PATH_SAFE = "/-._~!$&'()*+,;=:@%"
"""RFC 3986 pchar and the slash; `%` because a path may come encoded."""


class UrlError(ValueError):
    """A URL cannot be built; the text names the fault, not the value."""


def build_url(
    base_url: str, path: str, query: Sequence[tuple[str, str]] = (), *, allowed_hosts: Collection[str] = ()
) -> str:
    """Join a path to the base URL, or accept an absolute URL of the base's host or an allowed one.

    `allowed_hosts` are exact names or `*.example.com`. Query parameters are encoded, their order and repetition kept.

    Raises:
        UrlError: the result would leave the base path or the allowed hosts, or cannot be read in one way only.
    """
    _check_text(base_url, "the base URL")
    _check_text(path, "the path")
    base = _split(base_url, "the base URL")
    if "://" in path:
        target = _split(path, "the URL")
        if not _allowed(target, base, allowed_hosts):
            raise UrlError("the URL's host is neither that of the integration's base_url nor one of its hosts")
        url = f"{target.scheme}://{target.netloc}{_clean_path(target.path or '/')}"
        existing = target.query
    else:
        relative, _, existing = path.partition("?")
        url = f"{base.scheme}://{base.netloc}{_clean_path(_joined(base.path, relative))}"
    pairs = [f"{encode_query_value(name)}={encode_query_value(value)}" for name, value in query]
    text = "&".join(([_encoded_query(existing)] if existing else []) + pairs)
    return f"{url}?{text}" if text else url


def render_url(template: str, values: Mapping[str, str]) -> str:
    """Fill an absolute URL's placeholders: in the host only what may stand in one, behind it percent-encoded.

    Raises:
        UrlError: a value would end the host, or lead to another path.
        TemplateError: a placeholder without value.
    """
    scheme, separator, rest = template.partition("://")
    host, slash, path = rest.partition("/")
    filled = Template.parse(host).render(values, encode=_host_value)
    behind, mark, query = path.partition("?")
    text = f"{scheme}{separator}{filled}{slash}{Template.parse(behind).render(values, encode=_segment)}"
    return f"{text}{mark}{Template.parse(query).render(values, encode=encode_query_value)}"


def encode_path_value(value: str) -> str:
    """A value as one segment of a path.

    Raises:
        UrlError: it is `.` or `..`, or holds a control character.
    """
    if unquote(value) in (".", ".."):
        raise UrlError("a value in a path may not be . or ..")
    _check_controls(value, "a value in a path")
    return quote(value, safe="")


def encode_query_value(value: str) -> str:
    """A name or value of a query parameter."""
    return quote(value, safe="-._~")


def host_value(value: str, pattern: str | None) -> str:
    """A value that may stand in a URL's host: it must match its parameter's pattern.

    Raises:
        UrlError: it does not, or could end the host.
    """
    if pattern is None or not re.fullmatch(pattern, value):
        raise UrlError("a value in a URL's host must match its parameter's pattern")
    return _host_value(value)


def _host_value(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_\[\]-]+", value):
        raise UrlError("a value in a URL's host may not contain characters that end a host")
    return value


def _segment(value: str) -> str:
    """A placeholder that is left for a placement stays as it is."""
    return value if re.fullmatch(r"\{[A-Za-z_][A-Za-z0-9_]*\}", value) else encode_path_value(value)


def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UrlError(f"{what} cannot be read") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UrlError(f"{what} must begin with https:// or http:// and name a host")
    if "@" in parts.netloc:
        raise UrlError(f"{what} may not contain user information")
    return parts


def _allowed(target: SplitResult, base: SplitResult, allowed_hosts: Collection[str]) -> bool:
    if base.scheme == "https" and target.scheme != "https":
        return False
    if (target.hostname, target.port) == (base.hostname, base.port):
        return True
    host = (target.hostname or "").lower()
    return any(
        host == allowed.lower() or (allowed.startswith("*.") and host.endswith(allowed[1:].lower()))
        for allowed in allowed_hosts
    )


def _joined(base_path: str, relative: str) -> str:
    if not relative:
        return base_path or "/"
    return f"{base_path.rstrip('/')}/{relative.lstrip('/')}"


def _clean_path(path: str) -> str:
    """Encode what must be; refuse segments that a server could read as another directory."""
    if "#" in path:
        raise UrlError("a path may not contain #: write %23 for the character itself")
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise UrlError("a path may not contain a % that encodes nothing: write %25 for the character itself")
    for segment in re.split(r"[/\\]|%2f|%5c", path, flags=re.IGNORECASE):
        if unquote(unquote(segment)).partition(";")[0] in (".", ".."):
            raise UrlError("a path may not contain . or .. segments")
    return quote(path, safe=PATH_SAFE)


def _encoded_query(query: str) -> str:
    if "#" in query:
        raise UrlError("a query may not contain #: write %23 for the character itself")
    return quote(query, safe=PATH_SAFE + "?")


def _check_text(text: str, what: str) -> None:
    _check_controls(text, what)
    if "\\" in text:
        raise UrlError(f"{what} may not contain a backslash")


def _check_controls(text: str, what: str) -> None:
    if any(ord(character) < 33 or ord(character) == 127 for character in text if character != " "):
        raise UrlError(f"{what} may not contain control characters")

"""URLs that stay where they belong: under an integration's base, whatever the path and the values say."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import IntEnum
from urllib.parse import SplitResult, quote, unquote, urlsplit

from definitions.templates import Placeholder, Template

PATH_SAFE = "/-._~!$&'()*+,;=:@%"
"""RFC 3986 pchar and the slash; `%` because a path may come encoded."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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
    if is_absolute(path):
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


def is_absolute(path: str) -> bool:
    """Whether it names a scheme and a host by itself; `://` further on is part of a path or a query."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def render_url(template: str, values: Mapping[str, str]) -> str:
    """Fill an absolute URL's placeholders: in the host only what may stand in one, behind it percent-encoded.

    Raises:
        UrlError: a value would end the host, or lead to another path.
        TemplateError: a placeholder without value.
    """
    return "".join(
        part if isinstance(part, str) else _ENCODERS[zone](part.fill(values)) for part, zone in _zones(template)
    )


def render_path(template: str, values: Mapping[str, str]) -> str:
    """The same for a path, relative to a base URL, and its query."""
    return render_url(f"{_ANY_BASE}{template}", values).removeprefix(_ANY_BASE)


def host_names(template: str) -> frozenset[str]:
    """The placeholders that stand in a URL's scheme, host or port."""
    found = (part.names for part, zone in _zones(template) if not isinstance(part, str) and zone <= Zone.HOST)
    return frozenset().union(*found)


def skeleton(template: str) -> str:
    """A URL's template with `x` for each placeholder: what stands in it whatever fills it."""
    return "".join(part if isinstance(part, str) else "x" for part in Template.parse(template).parts)


class Zone(IntEnum):
    """The parts of a URL, in their order."""

    SCHEME = 0
    HOST = 1
    PATH = 2
    QUERY = 3


_ANY_BASE = "https://host/"


def _zones(template: str) -> Iterator[tuple[str | Placeholder, Zone]]:
    """Each part of a template with the zone in which it begins, whatever stands within a placeholder's braces."""
    before = ""
    for part in Template.parse(template).parts:
        yield part, _zone(before)
        before += part if isinstance(part, str) else "x"


def _zone(before: str) -> Zone:
    _, separator, rest = before.partition("://")
    if not separator:
        return Zone.SCHEME
    return Zone.QUERY if "?" in rest else Zone.PATH if "/" in rest else Zone.HOST


def encode_path_value(value: str) -> str:
    """A value as one segment of a path.

    Raises:
        UrlError: it holds `.` or `..` as a segment, or a control character.
    """
    if _has_dot_segment(value):
        raise UrlError("a value in a path may not hold . or .. as a segment")
    _check_controls(value, "a value in a path")
    return quote(value, safe="")


def encode_query_value(value: str) -> str:
    """A name or value of a query parameter."""
    return quote(value, safe="-._~")


def _host_value(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_\[\]-]+", value):
        raise UrlError("a value in a URL's host may not contain characters that end a host")
    return value


def _segment(value: str) -> str:
    """A placeholder that is left for a placement stays as it is."""
    return value if re.fullmatch(r"\{[A-Za-z_][A-Za-z0-9_]*\}", value) else encode_path_value(value)


def _scheme(_: str) -> str:
    raise UrlError("a URL must begin with https:// or http://, not with a placeholder")


_ENCODERS: dict[Zone, Callable[[str], str]] = {
    Zone.SCHEME: _scheme,
    Zone.HOST: _host_value,
    Zone.PATH: _segment,
    Zone.QUERY: encode_query_value,
}


def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UrlError(f"{what} cannot be read") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UrlError(f"{what} must begin with https:// or http:// and name a host")
    if "#" in url:
        raise UrlError(f"{what} may not contain #: write %23 for the character itself")
    if "@" in parts.netloc:
        raise UrlError(f"{what} may not contain user information")
    if re.search(r"[\s{}%]", parts.netloc):  # a placement fills {name} later, and must not reach the host
        raise UrlError(f"{what} may not have a placeholder, a space or % in its host")
    return parts


def _allowed(target: SplitResult, base: SplitResult, allowed_hosts: Collection[str]) -> bool:
    if base.scheme == "https" and target.scheme != "https":
        return False
    if (target.hostname, _port(target)) == (base.hostname, _port(base)):
        return True
    host = (target.hostname or "").lower()
    return any(
        host == allowed.lower() or (allowed.startswith("*.") and host.endswith(allowed[1:].lower()))
        for allowed in allowed_hosts
    )


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


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
    if _has_dot_segment(path):
        raise UrlError("a path may not contain . or .. segments")
    return quote(path, safe=PATH_SAFE)


def _has_dot_segment(path: str) -> bool:
    """However often it is encoded, and whatever a server takes for a separator."""
    for _ in range(_MAX_ENCODINGS):
        if any(segment.partition(";")[0] in (".", "..") for segment in re.split(r"[/\\]", path)):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True


_MAX_ENCODINGS = 8


def _encoded_query(query: str) -> str:
    if "#" in query:
        raise UrlError("a query may not contain #: write %23 for the character itself")
    if re.search(r"%(?![0-9A-Fa-f]{2})", query):
        raise UrlError("a query may not contain a % that encodes nothing: write %25 for the character itself")
    return quote(query, safe=PATH_SAFE + "?")


def _check_text(text: str, what: str) -> None:
    _check_controls(text, what)
    if "\\" in text:
        raise UrlError(f"{what} may not contain a backslash")


def _check_controls(text: str, what: str) -> None:
    if _CONTROL.search(text):
        raise UrlError(f"{what} may not contain control characters")

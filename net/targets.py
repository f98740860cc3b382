"""Where a request goes, taken from a URL without tolerance: what two parsers could read differently is refused."""

import re
from dataclasses import dataclass
from functools import lru_cache
from socket import AF_INET6, inet_ntop, inet_pton
from urllib.parse import quote

import idna

from definitions.urls import normal_host
from net.errors import NetError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^\s\x00-\x20\x7f/?#\\@:\[\]%<>\"^`{|}]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/[^?#\\\x00-\x20\x7f]*)?(?:\?[^#\\\x00-\x20\x7f]*)?)",
    re.IGNORECASE | re.ASCII,  # in Unicode the long s would pass for the one of https
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """A URL taken apart. `host` without brackets; `path` is the request target: path and query, ASCII."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are bound to (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Safe to show: scheme and authority alone."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The whole URL; holds what the path and query hold."""
        return f"{self}{self.path}"

    @property
    def safe_url(self) -> str:
        """Without the query."""
        return f"{self}{self.path.partition('?')[0]}"


def parse_target(url: str) -> Target:
    """Take an absolute http(s) URL apart; characters outside ASCII are encoded.

    Raises:
        NetError: `invalid_request`: user information, backslash, space, control character, fragment, or no host.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise NetError("invalid_request", _fault(url))
    scheme, host, port, target = match["scheme"].lower(), match["host"], match["port"], match["target"]
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if not 0 < number < 65536:
        raise NetError("invalid_request", "the URL's port is not between 1 and 65535")
    if not target.isascii():
        target = _encode(target)
    return Target(scheme, _host(host), number, target if target.startswith("/") else f"/{target}")


def _encode(target: str) -> str:
    try:
        return quote(target, safe=_PRINTABLE, errors="strict")
    except UnicodeEncodeError:
        raise NetError("invalid_request", "the URL holds a lone surrogate, which is no character") from None


@lru_cache(maxsize=256)
def _host(host: str) -> str:
    if host.startswith("["):
        return _literal(host[1:-1])
    name = normal_host(host)
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            raise NetError("invalid_request", "the URL's host is not a valid international name") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise NetError("invalid_request", "the URL's host is not a valid name")
    return name


def _literal(host: str) -> str:
    try:
        return inet_ntop(AF_INET6, inet_pton(AF_INET6, host))  # the same with every version of Python
    except OSError:
        raise NetError("invalid_request", "the URL's host is not a valid IPv6 address") from None


def _fault(url: str) -> str:
    if not url.lower().startswith(("http://", "https://")):
        return "the URL must be absolute and start with http:// or https://"
    authority = re.split(r"[/?#\\]", url.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        return "the URL must not hold a user name or password"
    if "#" in url:
        return "the URL must not hold a fragment (#)"
    if re.search(r"[\\\s\x00-\x20\x7f]", url):
        return "the URL must not hold a backslash, a space or a control character"
    return "the URL has no usable host"

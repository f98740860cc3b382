"""Where mail is handed in, taken from a URL: the scheme says how the connection is protected."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import unquote, urlsplit

from net.errors import NetError
from net.targets import parse_target

Protection = Literal["tls", "starttls", "none"]

FORMS = "expected smtps://HOST, smtp://HOST or smtp+plain://HOST, with USER@ before and :PORT behind where needed"

_SCHEMES: dict[str, tuple[Protection, int]] = {
    "smtps": ("tls", 465),
    "smtp": ("starttls", 587),
    "smtp+plain": ("none", 25),
}
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes mail. `smtps` speaks TLS from the start, `smtp` must offer STARTTLS, `smtp+plain` does
    without, and is shown no password unless it is on this machine."""

    scheme: str
    host: str
    port: int
    protection: Protection
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, password: str | None = None) -> "MailServer":
        """Read a URL; its user and password are percent-encoded, `password` is not.

        Raises:
            ValueError: it cannot be used; the text does not repeat the URL, which may hold a password.
        """
        scheme, host, port, user, found = _split(url)
        if found and password:
            raise ValueError("holds a password, and another one is set: keep one of them")
        password = found or password
        if bool(user) != bool(password):
            raise ValueError("a user and a password belong together")
        protection, default = _SCHEMES[scheme]
        if password and protection == "none" and not _is_this_machine(host):
            raise ValueError("a password would go through the network in clear: use smtps:// or smtp://")
        return cls(scheme, host, port or default, protection, user or None, password or None)

    def __str__(self) -> str:
        """Safe to show: scheme, host and port alone."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def read_mail_address(text: str) -> str:
    """An address as it stands in an envelope: `name@example.com`, ASCII, nothing around it.

    Raises:
        ValueError: anything else.
    """
    name = text.partition("@")[0]
    if not _ADDRESS.fullmatch(text) or ".." in text or name.startswith(".") or name.endswith("."):
        raise ValueError("expected addresses such as ops@example.com, without a name or brackets")
    return text


def _split(url: str) -> tuple[str, str, int | None, str, str]:
    try:
        parts = urlsplit(url)
        authority = parts.netloc.rpartition("@")[2]
        target = parse_target(f"https://{authority}")
        port = parts.port
    except (ValueError, NetError):
        raise ValueError(FORMS) from None
    if parts.scheme not in _SCHEMES or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(FORMS)
    return parts.scheme, target.host, port, unquote(parts.username or ""), unquote(parts.password or "")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

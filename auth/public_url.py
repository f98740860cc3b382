"""Where browsers reach the pages for connecting: what links begin with, and what providers send browsers back to."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def public_url(text: str) -> str:
    """Scheme, host and port as they were written, without a slash at the end: providers compare every character.

    Raises:
        ValueError: it is no such address, or a code would travel to another machine in clear.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if text not in (base := f"{parts.scheme}://{parts.netloc}", f"{base}/") or not host or "@" in base:
        raise ValueError(_EXPECTED)
    if not base.isascii() or not base.isprintable() or " " in base:
        raise ValueError(_EXPECTED)
    if parts.scheme != "https" and (parts.scheme != "http" or not is_loopback(host)):
        raise ValueError("the address that providers send browsers back to must begin with https:// (off loopback)")
    return base


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


_EXPECTED = "expected scheme, host and port alone, such as https://tieline.example"

"""Reads the configured proxy."""

from urllib.parse import unquote, urlsplit

import httpcore2


def read_proxy(url: str) -> httpcore2.Proxy:
    """A forward proxy from `http[s]://[user:password@]host[:port]`.

    Raises:
        ValueError: anything else; the text does not repeat the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the URL is not valid: expected http://HOST:PORT or https://HOST:PORT") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://HOST:PORT or https://HOST:PORT")
    auth = (unquote(parts.username).encode(), unquote(parts.password or "").encode()) if parts.username else None
    core_url = httpcore2.URL(scheme=parts.scheme, host=parts.hostname, port=port, target="/")
    context = httpcore2.default_ssl_context() if parts.scheme == "https" else None
    return httpcore2.Proxy(core_url, auth=auth, ssl_context=context)

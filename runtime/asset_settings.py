"""The settings for where assets lie: what each must look like, and which of them belong together."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from runtime.settings import Settings
    from storage.assets.blobs import Blobs

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*")


def bucket_url(value: str) -> str:
    """Check `s3://BUCKET[/PREFIX]`."""
    scheme, _, rest = value.partition("://")
    name, _, prefix = rest.rstrip("/").partition("/")
    parts = prefix.split("/")
    if scheme != "s3" or not _BUCKET.fullmatch(name) or (prefix and not _PREFIX.fullmatch(prefix)):
        raise ValueError("expected s3://BUCKET or s3://BUCKET/PREFIX, without a key in it")
    if "." in parts or ".." in parts:
        raise ValueError("no part of the prefix may be . or ..")
    return value.rstrip("/")


def server_url(value: str) -> str:
    """Check the URL of a server; its text is not repeated, for it may hold a secret."""
    told = "expected the URL of the server, such as https://s3.example:9000, without user, path or query"
    try:
        parts = urlsplit(value)
        plain = f"{parts.scheme}://{parts.netloc}"
        _ = parts.port
    except ValueError:
        raise ValueError(told) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or value.rstrip("/") != plain:
        raise ValueError(told)
    return plain


def check_assets(settings: "Settings") -> None:
    """Refuse settings that are of no use without others.

    Raises:
        ValueError: the text names the variables.
    """
    if (settings.assets_access_key_id is None) != (settings.assets_secret_access_key is None):
        raise ValueError("TIELINE_ASSETS_ACCESS_KEY_ID and TIELINE_ASSETS_SECRET_ACCESS_KEY belong together: set both")
    lone = [name for name in _OF_A_BUCKET if getattr(settings, name) is not None]
    if lone and settings.assets_url is None:
        raise ValueError(f"TIELINE_{lone[0].upper()} is of no use without TIELINE_ASSETS_URL: set it, too")


_OF_A_BUCKET = ("assets_endpoint", "assets_region", "assets_access_key_id")


def open_blobs(settings: "Settings", folder: Path) -> "Blobs":
    """The bucket that is configured, or the folder."""
    from storage.assets.blobs import LocalBlobs

    if settings.assets_url is None:
        return LocalBlobs(folder)
    from storage.assets.s3 import Bucket, S3Blobs

    name, _, prefix = settings.assets_url.removeprefix("s3://").partition("/")
    secret, key = settings.assets_secret_access_key, None
    if settings.assets_access_key_id is not None and secret is not None:
        key = settings.assets_access_key_id, secret.get_secret_value()
    return S3Blobs(Bucket(name, prefix, settings.assets_endpoint, settings.assets_region, key))

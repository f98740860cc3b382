"""The settings for telling people: what each must look like, and which of them belong together."""

import base64
import binascii
from typing import TYPE_CHECKING

from pydantic import SecretStr

from net.egress import AllowRule

if TYPE_CHECKING:
    from net.mail_server import MailServer
    from net.targets import Target
    from runtime.settings import Settings

SECRET_PREFIX = "whsec_"  # noqa: S105 (a prefix, no secret)
SECRET_BYTES = range(24, 65)

_SECRET = "expected whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)"  # noqa: S105
_MAIL = ("notify_email_to", "notify_email_from", "smtp_url")


def webhook_url(value: str) -> str:
    """Check a webhook's URL; its text is not repeated, for it may hold a secret."""
    _target(value)
    return value


def webhook_secret(value: SecretStr) -> SecretStr:
    """Check a signing secret."""
    webhook_key(value)
    return value


def webhook_key(value: SecretStr) -> bytes:
    """The key that a secret such as `whsec_…` holds.

    Raises:
        ValueError: it holds none that can be used.
    """
    text = value.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(_SECRET) from None
    if not text.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError(_SECRET)
    return key


def mail_addresses(values: list[str]) -> list[str]:
    """Check the addresses of people."""
    return [mail_address(value) for value in values]


def mail_address(value: str) -> str:
    """Check an address."""
    from net.mail_server import read_mail_address

    return read_mail_address(value)


def check_whole(settings: "Settings") -> None:
    """Refuse settings that are of no use without others.

    Raises:
        ValueError: the text names the variables.
    """
    if (settings.notify_webhook_url is None) != (settings.notify_webhook_secret is None):
        raise ValueError("TIELINE_NOTIFY_WEBHOOK_URL and TIELINE_NOTIFY_WEBHOOK_SECRET belong together: set both")
    missing = [f"TIELINE_{name.upper()}" for name in _MAIL if not getattr(settings, name)]
    if missing and (len(missing) < len(_MAIL) or settings.smtp_password is not None):
        raise ValueError(f"e-mail is half configured: set {', '.join(missing)}, too")
    mail_server(settings)


def webhook_target(settings: "Settings") -> "Target | None":
    """Where the webhook is."""
    return _target(settings.notify_webhook_url) if settings.notify_webhook_url else None


def mail_server(settings: "Settings") -> "MailServer | None":
    """Where mail is handed in.

    Raises:
        ValueError: the URL cannot be used; the text names the variable.
    """
    if settings.smtp_url is None:
        return None
    from net.mail_server import MailServer

    password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
    try:
        server = MailServer.parse(settings.smtp_url, password)
        exactly(server.host, server.port)
    except ValueError as error:
        raise ValueError(f"TIELINE_SMTP_URL (with TIELINE_SMTP_PASSWORD): {error}") from None
    return server


def exactly(host: str, port: int) -> AllowRule:
    """The rule that opens a place because it was configured, also where it is private.

    Raises:
        ValueError: no rule can open it, such as a multicast address.
    """
    return AllowRule.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _target(url: str) -> "Target":
    from net.errors import NetError
    from net.targets import parse_target

    try:
        target = parse_target(url)
    except NetError as error:
        raise ValueError(str(error)) from None
    exactly(target.host, target.port)
    return target

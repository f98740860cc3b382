"""A notification as an e-mail: what a person needs to know, in plain text."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from definitions.notification import Notification, NotificationKind

MAX_SUBJECT = 200

_UNPRINTABLE = re.compile(r"[^\S ]+|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")


def as_email(notification: Notification, sender: str, recipients: Sequence[str], now: datetime) -> bytes:
    """The whole message. The same notification always has the same Message-ID, so that repeats are known as such."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = _subject(notification)
    message["From"] = f"Tieline <{sender}>"
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{hashlib.sha256(notification.id.encode()).hexdigest()[:32]}@{sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes, please
    message.set_content(_body(notification))
    return message.as_bytes()


def one_line(text: str) -> str:
    """Without line breaks and what else is no visible character: names come from people."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _subject(notification: Notification) -> str:
    account = f"account {notification.account}" if notification.account else "an account"
    integration = f" of {notification.integration}" if notification.integration else ""
    what = {
        NotificationKind.NEEDS_RECONNECT: f"{account} needs to be connected again",
        NotificationKind.RECONNECTED: f"{account} is connected again",
        NotificationKind.CLIENT_REFUSED: f"the OAuth client{integration} is refused",
        NotificationKind.REFRESH_TOKEN_ENDS: f"{account} must be connected again soon",
        NotificationKind.TOKEN_SET_ASIDE: f"{account} was given a refresh token too late",
        NotificationKind.TEST: "a test: notifications arrive",
    }[notification.kind]
    return one_line(f"Tieline: {what}")[:MAX_SUBJECT]


def _body(notification: Notification) -> str:
    facts = {
        "Account": notification.account,
        "Integration": notification.integration,
        "Cause": notification.cause,
        "Runs resumed": notification.runs_resumed,
        "Time": f"{notification.happened_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "Notification": notification.id,
    }
    lines = [one_line(notification.message), ""]
    if notification.next_step is not None:
        lines += [f"Next step: {one_line(notification.next_step)}", ""]
    width = max(len(name) for name in facts) + 2
    lines += [f"{name + ':':<{width}}{one_line(str(fact))}" for name, fact in facts.items() if fact is not None]
    return "\n".join(lines) + "\n"

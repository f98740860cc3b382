"""Keeps live secrets out of logs and messages: by value, in every form in which they travel.

Each secret is looked for raw, URL-encoded, in base64, JSON-escaped, and as either part of an HTTP `Basic` pair.
"""

import logging
import re
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from json import dumps
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
MINIMUM_LENGTH = 4
_TRANSPORT_LOGGERS = ("httpx", "httpcore", "httpx2", "httpcore2", "asyncssh", "hpack", "h2")


class LiveSecrets:
    """The secrets that this process has handled. Adding is cheap; forms are worked out when a text is scrubbed."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._stale = False
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        """Scrub this value from now on. Values shorter than 4 characters are ignored: they would mask plain words."""
        if len(value) < MINIMUM_LENGTH or value in self._values:
            return
        with self._lock:
            self._values.add(value)
            self._stale = True

    def scrub(self, text: str) -> str:
        """The text with every known secret, in every form, replaced by `[redacted]`."""
        if self._stale:
            self._compile()
        return self._pattern.sub(MASK, text) if self._pattern else text

    def _compile(self) -> None:
        with self._lock:
            forms = {form for value in self._values for form in _forms(value)}
            longest_first = sorted(forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None
            self._stale = False

    def __repr__(self) -> str:
        return f"LiveSecrets({len(self._values)})"


def _forms(value: str) -> Iterator[str]:
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield dumps(value)[1:-1]
    raw = value.encode()
    yield b64encode(raw).decode()
    yield urlsafe_b64encode(raw).decode()


class RedactingFilter(logging.Filter):
    """A filter for log handlers: masks live secrets in the message and in the traceback."""

    def __init__(self, secrets: LiveSecrets | None = None) -> None:
        super().__init__()
        self._secrets = secrets or LIVE_SECRETS

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._secrets.scrub(record.getMessage())
        record.args = None
        return True


def quiet_transports() -> None:
    """Raise the loggers of HTTP and SSH libraries to WARNING: below it they print URLs and headers."""
    for name in _TRANSPORT_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


LIVE_SECRETS = LiveSecrets()

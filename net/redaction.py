"""Keeps live secrets out of logs, messages and results: by value, in every form in which they travel.

Each secret is looked for raw, URL-encoded, escaped for JSON and HTML, and in base64, there also as a part of something
longer, such as the pair of HTTP `Basic`.
"""

import logging
import threading
from base64 import b64encode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterator
from html import escape
from itertools import chain
from json import dumps
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
MINIMUM_LENGTH = 6
MAX_SECRETS = 4096

_GRAM = 8
_SAMPLED = 16
_STRIDE = _SAMPLED - _GRAM + 1
_SCRIPTS_LEAVE = "!'()*"
"""What `encodeURIComponent` leaves as it is (ECMA-262 §19.2.6.4), beside what Python does."""
_TRANSPORT_LOGGERS = ("httpx", "httpcore", "httpx2", "httpcore2", "asyncssh", "hpack", "h2")


class LiveSecrets:
    """The secrets that this process has handled lately: the last 4,096 different ones.

    Looking for each form in turn costs a microsecond per form and 10 KB of text. So it is sampled first: every form
    of 16 bytes or more, wherever it starts, covers one of the 8-byte pieces that begin at each multiple of 9.
    """

    def __init__(self) -> None:
        self._forms: OrderedDict[str, frozenset[bytes]] = OrderedDict()
        self._grams: set[bytes] = set()
        self._short: set[bytes] = set()
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        """Scrub this value from now on. Values shorter than 6 characters are ignored: they would mask plain words."""
        if len(value) < MINIMUM_LENGTH:
            return
        with self._lock:
            if value in self._forms:
                self._forms.move_to_end(value)
                return
            self._forms[value] = frozenset(form for form in _forms(value) if len(form) >= MINIMUM_LENGTH)
            self._index(self._forms[value])
            if len(self._forms) > MAX_SECRETS:
                self._forget_the_oldest()

    def scrub(self, text: str) -> str:
        """The text with every known secret, in every form, replaced by `[redacted]`."""
        if not self._forms:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        clean = self.scrub_bytes(raw)
        return text if clean is raw else clean.decode("utf-8", "surrogatepass")

    def scrub_bytes(self, raw: bytes) -> bytes:
        """The same for text still encoded, in UTF-8 or a charset like it. Without a secret in it, `raw` itself."""
        if not self._suspects(raw):
            return raw
        with self._lock:
            found = {form for form in chain.from_iterable(self._forms.values()) if form in raw}
        for form in sorted(found, key=len, reverse=True):
            raw = raw.replace(form, MASK.encode())
        return raw

    def _suspects(self, raw: bytes) -> bool:
        with self._lock:
            pieces = (raw[start : start + _GRAM] for start in range(0, len(raw), _STRIDE))
            return not self._grams.isdisjoint(pieces) or any(form in raw for form in self._short)

    def _index(self, forms: frozenset[bytes]) -> None:
        for form in forms:
            if len(form) < _SAMPLED:
                self._short.add(form)
            else:
                self._grams.update(form[start : start + _GRAM] for start in range(_STRIDE))

    def _forget_the_oldest(self) -> None:
        for _ in range(MAX_SECRETS // 4):
            self._forms.popitem(last=False)
        self._grams.clear()
        self._short.clear()
        for forms in self._forms.values():
            self._index(forms)

    def __repr__(self) -> str:
        return f"LiveSecrets({len(self._forms)})"


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode("utf-8", "surrogatepass")
    encoded = [quote(raw, safe=safe) for safe in ("", "/", _SCRIPTS_LEAVE)]
    encoded += [quote_plus(raw), quote_plus(raw, safe="*").replace("~", "%7E")]  # Python's and browsers' forms
    escaped = dumps(value)[1:-1], dumps(value, ensure_ascii=False)[1:-1]
    yield raw
    yield escape(value).encode("utf-8", "surrogatepass")
    yield from (text.encode("utf-8", "surrogatepass") for text in (*encoded, *escaped, escaped[0].replace("/", "\\/")))
    yield from (_lower_escapes(text).encode() for text in encoded)
    yield from (quote(text, safe="").encode() for text in encoded)  # as in ?next=, which holds a whole URL
    # RFC 6749 §2.3.1 encodes a client's secret before it goes into the pair of `Basic`.
    for form in {raw, *(text.encode() for text in encoded)}:
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(form)
            yield from (_inner(encode(b"\0" * offset + form), offset, len(form)) for offset in range(3))


def _inner(encoded: bytes, offset: int, length: int) -> bytes:
    """The base64 digits that depend on nothing but the secret, which starts at this offset within three bytes."""
    return encoded[-(-offset * 8 // 6) : (offset + length) * 8 // 6]


def _lower_escapes(text: str) -> str:
    """`%2F` as `%2f`."""
    head, *rest = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


class RedactingFilter(logging.Filter):
    """A filter for log handlers: masks live secrets in the message and in the traceback."""

    def __init__(self, secrets: LiveSecrets | None = None) -> None:
        super().__init__()
        self._secrets = secrets or LIVE_SECRETS

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._secrets.scrub(_message(record))
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._secrets.scrub(record.exc_text)
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the format: a filter must not fail over it
        return str(record.msg)


def quiet_transports() -> None:
    """Raise the loggers of HTTP and SSH libraries to WARNING: below it they print URLs and headers."""
    for name in _TRANSPORT_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


LIVE_SECRETS = LiveSecrets()

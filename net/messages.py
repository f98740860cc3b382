"""What goes out and what comes back: one request, one reply. Neither shows its contents in a `repr`."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cached_property

from net.errors import Sent

DEFAULT_DEADLINE = 30.0
DEFAULT_MAX_BYTES = 10 * 1024 * 1024
DEFAULT_MAX_STREAMED = 1024 * 1024 * 1024
DEFAULT_STALL = 60.0
DEFAULT_OVERALL = 3600.0


@dataclass(frozen=True, slots=True)
class Injected:
    """What a credential put into a request: names, never values. Dropped when a redirect changes the origin."""

    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    cookies: bool = False
    body: bool = False
    path: bool = False


@dataclass(frozen=True, repr=False)
class TlsOptions:
    """Certificates beyond the system's. Equal and hashable by content; pools are kept apart by it.

    `ca_pem` replaces the system's certificate authorities. The key must not be encrypted.
    """

    ca_pem: str | None = None
    client_certificate_pem: bytes | None = None
    client_key_pem: bytes | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all parts, hexadecimal."""
        digest = hashlib.sha256()
        for part in ((self.ca_pem or "").encode(), self.client_certificate_pem or b"", self.client_key_pem or b""):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"TlsOptions({self.fingerprint[:12]})"


@dataclass(frozen=True, slots=True, repr=False)
class StreamedContent:
    """A body that is read while it is sent. `open` begins it anew, as a redirect or a second send needs it.

    Of known `size` in bytes it is announced by Content-Length, otherwise sent in chunks.
    """

    open: Callable[[], AsyncIterator[bytes]]
    size: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class OutboundRequest:
    """One HTTP request. The client adds Host, Content-Length, Accept-Encoding and, where absent, Accept and User-Agent.

    `deadline` is in seconds and bounds everything from the lookup of the name to the last byte of the body; `max_bytes`
    bounds the decoded body. `allowed_hosts`: where redirects may lead beside the request's own host (exact, or
    `*.example.com`; None: anywhere). `ports`: open beside 80 and 443, for redirects too.

    A body that is streamed, either way, may take longer: it ends when nothing moves for `stall` seconds, or after
    `overall` seconds. `deadline` is then for the way to its first byte, and from its last byte on to the answer.
    `max_streamed` bounds an answer that is streamed, decoded, in bytes. `plain`: no content coding is asked for, and
    HTTP/1.1 is spoken: a reader that is slower than the provider would hold up the other calls of an HTTP/2 connection.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | StreamedContent = b""
    deadline: float = DEFAULT_DEADLINE
    max_bytes: int = DEFAULT_MAX_BYTES
    injected: Injected = field(default_factory=Injected)
    allowed_hosts: frozenset[str] | None = None
    follow_redirects: bool = True
    tls: TlsOptions | None = None
    ports: frozenset[int] = frozenset()
    stall: float = DEFAULT_STALL
    overall: float = DEFAULT_OVERALL
    max_streamed: int = DEFAULT_MAX_STREAMED
    plain: bool = False

    def __repr__(self) -> str:
        size = len(self.content) if isinstance(self.content, bytes) else self.content.size
        return f"OutboundRequest({self.method}, {'?' if size is None else size} bytes)"


@dataclass(frozen=True, slots=True, repr=False)
class HttpReply:
    """What the provider answered. `body` is decoded; `elapsed` in seconds; `url` without its query.

    `delimited` is False when only the end of the connection marked the end of the body: it may then have been cut
    without a sign (RFC 9112 §8). `unread`: why the body of an error (400 and above) was left out. `done`: this is the
    answer to the GET that a 303 led to; the request itself was performed before.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    http_version: str
    elapsed: float
    url: str
    delimited: bool = True
    unread: str | None = None
    done: bool = False

    def header(self, name: str) -> str | None:
        """The first value of this header, by name without regard to case."""
        return first_header(self.headers, name)

    def __repr__(self) -> str:
        return f"HttpReply({self.status}, {len(self.body)} bytes)"


def first_header(headers: list[tuple[str, str]], name: str) -> str | None:
    """The first value of a header, by name without regard to case."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


@dataclass(slots=True)
class SendTrace:
    """Tells a caller that was cancelled, or that failed, how far its request got. One per call."""

    sent: Sent = Sent.NO

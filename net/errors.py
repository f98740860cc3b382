"""How a call can fail on its way out, and what is known about the other side when it does."""

from enum import StrEnum
from typing import Literal

Code = Literal[
    "invalid_request",
    "egress_denied",
    "dns_failed",
    "connect_failed",
    "tls_failed",
    "pool_timeout",
    "timeout",
    "connection_lost",
    "protocol_error",
    "response_too_large",
    "undecodable_body",
    "redirect_refused",
    "too_many_redirects",
    "content_failed",
]


class Sent(StrEnum):
    """Whether the provider can have acted on a request."""

    NO = "no"
    """Not one byte of it left: sending again cannot do it twice."""
    MAYBE = "maybe"
    """Some of it left, no answer came: it may have been performed."""
    ANSWERED = "answered"
    """The provider answered: it saw the request, whatever became of the answer."""


class NetError(Exception):
    """A call that gave no usable reply.

    `code` is stable and machine-readable. The text is built from method, scheme, host, port and fixed words only: never
    from a query string, a header value or a body, so it can be logged, stored and shown.
    `status` is the status of the answer when there was one (`sent` is then `ANSWERED`). `reason`: what the source of
    the request's body raised, with `content_failed`; its text may hold anything.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        sent: Sent = Sent.NO,
        status: int | None = None,
        reason: Exception | None = None,
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.sent = sent
        self.status = status
        self.reason = reason

    def at(self, place: str) -> "NetError":
        """The same, told with where it happened."""
        return NetError(self.code, f"{place}: {self}", sent=self.sent, status=self.status, reason=self.reason)

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.code, str(self), self.sent, self.status)


def _restore(code: Code, message: str, sent: Sent, status: int | None) -> NetError:
    return NetError(code, message, sent=sent, status=status)

"""From what the transport raises to a `NetError`, keeping only words that cannot hold a secret.

Exceptions of the transport carry header values, URLs and bytes of the answer in their texts: nothing of them is passed
on but an operating system's error number and OpenSSL's verdict on a certificate.
"""

import os
import ssl

import h2.errors
import h2.events
import httpcore2

from net.errors import Code, NetError, Sent
from net.watch import Watch

_LOST = (httpcore2.ProtocolError, httpcore2.NetworkError, httpcore2.ConnectionNotAvailable, OSError)
_CLIENT_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


def net_error(error: Exception, watch: Watch) -> NetError:
    """What a failed exchange means; `sent` as far as the watch saw it."""
    code, message = _fault(error, watch)
    if isinstance(error, NetError):
        return NetError(code, message, sent=watch.sent, status=error.status, reason=error.reason)
    return NetError(code, message, sent=watch.sent)


def _fault(error: Exception, watch: Watch) -> tuple[Code, str]:
    if isinstance(error, NetError):
        return error.code, str(error)
    if isinstance(error, httpcore2.PoolTimeout):
        return "pool_timeout", "all connections to this host were busy for too long"
    if isinstance(error, httpcore2.ProxyError):
        return "connect_failed", f"the proxy refused the connection{_proxy_status(error)}"
    if isinstance(error, httpcore2.ConnectError | httpcore2.ConnectTimeout):
        return _not_connected(error, watch)
    if isinstance(error, ssl.SSLError):
        return _tls_alert(error, watch)
    return _broken_exchange(error, watch)


def _not_connected(error: Exception, watch: Watch) -> tuple[Code, str]:
    late = isinstance(error, httpcore2.ConnectTimeout)
    if watch.in_tls:
        return "tls_failed", f"no TLS session: {'it took too long' if late else tls_reason(error)}"
    return "connect_failed", f"no connection: {'it took too long' if late else os_reason(error)}"


def _tls_alert(error: ssl.SSLError, watch: Watch) -> tuple[Code, str]:
    """In TLS 1.3 a refused client certificate shows only when the answer is read; the request was never looked at."""
    reason = error.reason or ""
    if "ALERT" in reason and any(word in reason for word in _CLIENT_CERTIFICATE_ALERTS):
        watch.refused()
        return "tls_failed", "the server refused the client certificate, or wants one"
    return "connection_lost", _how_it_was_lost(watch)


def _broken_exchange(error: Exception, watch: Watch) -> tuple[Code, str]:
    event = error.args[0] if error.args else None
    if isinstance(event, h2.events.StreamReset):
        if event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM:  # not processed: RFC 9113 §8.7
            watch.refused()
        return "connection_lost", "the server reset the stream"
    if isinstance(event, h2.events.ConnectionTerminated):
        watch.left(event.last_stream_id or 0)
    if isinstance(error, httpcore2.LocalProtocolError):
        return ("connection_lost", "the connection could not take the request") if watch.multiplexed else _unsendable()
    if isinstance(error, httpcore2.RemoteProtocolError) and not _is_disconnect(event):
        return "protocol_error", "the answer is not valid HTTP"
    if isinstance(error, _LOST):
        return "connection_lost", _how_it_was_lost(watch)
    return "protocol_error", f"the exchange broke off ({type(error).__name__})"


def _unsendable() -> tuple[Code, str]:
    return "invalid_request", "the request is not valid HTTP"


def _is_disconnect(detail: object) -> bool:
    text = str(detail).lower()
    return isinstance(detail, h2.events.ConnectionTerminated) or "disconnected" in text or "peer closed" in text


def _how_it_was_lost(watch: Watch) -> str:
    return {
        Sent.NO: "the connection was lost before the request was taken",
        Sent.MAYBE: "the connection was lost after the request was sent, before an answer came",
        Sent.ANSWERED: "the connection was lost before the whole answer came",
    }[watch.sent]


def _proxy_status(error: Exception) -> str:
    status = str(error)[:3]
    return f" with status {status}" if status.isascii() and status.isdigit() else ""


def tls_reason(error: BaseException) -> str:
    """Why there is no TLS session: OpenSSL's verdict on the certificate, or its name for the fault."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.lower().replace("_", " ")
    return "the server closed the connection during the handshake"


def os_reason(error: BaseException) -> str:
    """The operating system's words for why there is no connection."""
    numbers = (cause.errno for cause in _causes(error) if isinstance(cause, OSError) and cause.errno)
    return next((os.strerror(number).lower() for number in numbers), "it failed")


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 8:
        chain.append(cause)
        nested = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None
        cause = nested or cause.__cause__ or cause.__context__
    return chain

"""What an error of Temporal's client says: that Temporal is away, or that it refused."""

from temporalio.service import RPCError, RPCStatusCode

_AWAY = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
_LOST = ("transport error", "h2 protocol error", "error reading a body from connection")
"""How the SDK's HTTP/2 client (tonic, over hyper) tells that a connection broke under a request."""


def is_away(error: RPCError) -> bool:
    """Whether Temporal does not answer. The client calls a connection that broke under a request `unknown`."""
    if error.status in (RPCStatusCode.UNKNOWN, RPCStatusCode.INTERNAL):
        return any(sign in error.message for sign in _LOST)
    return error.status in _AWAY

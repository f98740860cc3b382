"""What may stand in a request header."""

import re

from net.errors import NetError

RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the connection or the framing: only the client itself sets them (RFC 9110 §7, RFC 9112 §6)."""

CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Headers that carry a credential by definition: dropped on a change of origin, whoever put them there."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


def check_header(name: str, value: str) -> None:
    """Refuse what could break a request apart or could not be sent at all (RFC 9110 §5.1 and §5.5).

    Raises:
        NetError: `invalid_request`; the text names the header and the fault, never the value.
    """
    if not _NAME.fullmatch(name):
        raise NetError("invalid_request", "a header's name must be letters, digits and -_.!#$%&'*+^`|~ only")
    if _VALUE.fullmatch(value):
        return
    fault = "a line break, NUL or another control character" if _has_control(value) else "a character outside ASCII"
    raise NetError("invalid_request", f"the value of header {name} holds {fault}")


def _has_control(value: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in value)

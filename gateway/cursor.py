"""Where a listing goes on: Temporal's page token, sealed for the listing that it belongs to.

Temporal takes a token of any listing and would go on at some place in this one; one that it cannot read at all costs
it, and the SDK, ten tries. So only what was handed out comes back to it.
"""

import base64
import binascii
import hmac

from auth.keys import KekProvider
from gateway.problems import Problem

MAX_CHARACTERS = 4096
SEAL_BYTES = 16
PURPOSE = b"tieline listing cursor"


def cursor_of(keys: KekProvider, listing: str, token: bytes | None) -> str | None:
    """What a caller sends to get the next page; None when there is none."""
    if token is None:
        return None
    seal = _seal(keys, keys.primary_id, listing, token)
    return base64.urlsafe_b64encode(seal + token).decode().rstrip("=")


def token_of(keys: KekProvider, listing: str, cursor: str) -> bytes:
    """The token in a cursor of this listing. Raises Problem."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused() from None
    seal, token = raw[:SEAL_BYTES], raw[SEAL_BYTES:]
    if not any(hmac.compare_digest(seal, _seal(keys, each, listing, token)) for each in keys.ids):
        raise _refused()
    return token


def _refused() -> Problem:
    return Problem(
        422,
        "invalid_cursor",
        "the cursor belongs to no page of this listing",
        "send the filters that brought it, or begin again without it",
    )


def _seal(keys: KekProvider, kek_id: str, listing: str, token: bytes) -> bytes:
    return hmac.digest(keys.derive(kek_id, PURPOSE), listing.encode() + b"\0" + token, "sha256")[:SEAL_BYTES]

"""What a token says that happens to be a JWT (RFC 7519). Nothing is verified: its reader knows why that is fine."""

import base64
import json
from typing import Any


def claims_of(token: str) -> dict[str, Any] | None:
    """The claims; None when it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None

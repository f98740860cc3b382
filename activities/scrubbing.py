"""Text of a provider's without live secrets in it, however the provider has escaped them."""

import re

from net.redaction import LIVE_SECRETS

_ASCII_ESCAPE = re.compile(r"\\u00([2-7][0-9A-Fa-f])")


def scrub_text(text: str) -> str:
    """Some JSON writers escape + and & too, as `\\u002B`: where that hid a secret, such escapes are resolved."""
    clean = LIVE_SECRETS.scrub(text)
    if "\\u00" not in clean:
        return clean
    resolved = _ASCII_ESCAPE.sub(lambda match: chr(int(match[1], 16)), clean)
    scrubbed = LIVE_SECRETS.scrub(resolved)
    return clean if scrubbed == resolved else scrubbed

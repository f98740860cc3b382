"""From the bytes of a token reply to data, however carelessly they were written.

More forgiving than `net.text.parse_json` on purpose: a number that no float can hold must not cost a refresh token.
"""

import json
from collections.abc import Sequence
from urllib.parse import parse_qsl


def read_body(headers: Sequence[tuple[str, str]], body: bytes) -> object:
    """JSON (RFC 6749 §5.1), a form (GitHub, older Facebook), or the text itself; never raises."""
    text = _decode(headers, body).strip()
    try:
        return json.loads(text, parse_int=_integer, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return _form(text) or text


def _decode(headers: Sequence[tuple[str, str]], body: bytes) -> str:
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    charset = content_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    known = charset if charset in ("iso-8859-1", "windows-1252", "utf-16") else "utf-8-sig"
    return body.decode(known, errors="replace")


def _integer(digits: str) -> int | float:
    # Python refuses to read integers of more than 4300 digits, and with them the whole reply.
    return int(digits) if len(digits) < 100 else float(digits)


def _form(text: str) -> dict[str, str]:
    if "=" not in text or text.startswith("<"):
        return {}
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
    except ValueError:
        return {}

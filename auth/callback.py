"""What the provider sends a browser back with (RFC 6749 §4.1.2), read so that nothing can be read in two ways."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from definitions.auth import OAuth2Auth
from definitions.inputs import host_placeholders
from definitions.integration import Integration

MAX_QUERY = 16 * 1024


class BadCallback(ValueError):
    """The query is no answer to the authorization request; the text repeats none of it."""


@dataclass(frozen=True, slots=True, repr=False)
class Callback:
    """A consent's code, or an error in its place."""

    state: str
    code: str | None
    error: str | None
    description: str | None
    issuer: str | None
    others: Mapping[str, str] = field(default_factory=dict)
    """Whatever else came: some providers say here which shop or realm was connected."""


def read_callback(query: str) -> Callback:
    """Read a callback's query.

    Raises:
        BadCallback: a parameter comes twice (RFC 6749 §3.1), or what must be there is not.
    """
    if len(query) > MAX_QUERY:
        raise BadCallback("the answer is too long")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise BadCallback("the answer is no query string") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BadCallback("a parameter comes twice in the answer")
    state, code, error = (values.pop(name, "") for name in ("state", "code", "error"))
    if not state:
        raise BadCallback("the answer has no state")
    if bool(code) is bool(error):
        raise BadCallback("the answer must hold a code or an error, and not both")
    return Callback(
        state=state,
        code=code or None,
        error=error or None,
        description=values.pop("error_description", None),
        issuer=values.pop("iss", None),
        others=values,
    )


def check_issuer(callback: Callback, issuer: str | None, *, required: bool) -> None:
    """Was it the server that was asked that answered (RFC 9207)? Compared character by character.

    Raises:
        BadCallback: another one did, or it does not say who it is though it promised to.
    """
    if callback.issuer is None and required:
        raise BadCallback("the answer does not say which server it comes from, though its server promises to")
    if callback.issuer is not None and issuer is not None and callback.issuer != issuer:
        raise BadCallback("the answer comes from another server than the one that was asked")


def captured_from(callback: Callback, integration: Integration) -> dict[str, str]:
    """The values that `auth.capture.callback` takes out. A browser brought them, so they are checked like any input.

    Raises:
        BadCallback: one could lead a URL elsewhere.
    """
    auth = integration.auth
    assert isinstance(auth, OAuth2Auth), "only OAuth accounts are connected"
    found: dict[str, str] = {}
    in_hosts = host_placeholders(integration)
    for name, wanted in auth.capture.callback.items():
        if (value := callback.others.get(wanted.query)) is None:
            continue
        taken = _taken(wanted.pattern or (_LABEL if name in in_hosts else _TEXT), value)
        if not taken:
            fault = "does not match its pattern" if wanted.pattern else "holds what it may not"
            raise BadCallback(f"{wanted.query} in the answer {fault}")
        found[name] = taken
    return found


_MAX_VALUE = 1024
_LABEL = r"[A-Za-z0-9_-]+"
"""A part of a host's name, and no host: the client's secret may follow it into the token endpoint's URL."""
_TEXT = r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+"
"""Anything that can be shown: where it is put, in a path, a query or a header, it is encoded or checked there."""


def _taken(pattern: str, value: str) -> str | None:
    match = re.fullmatch(pattern, value) if len(value) <= _MAX_VALUE else None
    return match[match.re.groups] if match else None

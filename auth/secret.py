"""A secret value, held so that it cannot be shown by accident; and the check of one that somebody hands in."""

import hmac
from typing import NoReturn

MULTI_LINE_FIELDS = frozenset({"private_key", "certificate"})
"""Of every scheme that has fields of these names; an integration may name further ones for TLS."""


SHORT = 8
"""Characters below which a secret is told to be weak; below 6 it is not masked, or plain words were."""


class SecretError(ValueError):
    """A secret cannot be saved as it is; the text names the field and the fault, never the value."""


class Secret:
    """A text that has no `str`, no `repr`, no pickle and no JSON; `reveal` hands it out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: for placing it on a request, and for nothing that lives longer."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "[secret]"

    def __format__(self, spec: str) -> str:
        return "[secret]"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def check_secret(field: str, value: str, *, multi_line: bool = False) -> str:
    """Refuse what cannot work as a secret; `multi_line`: it is a key or a certificate and may have lines.

    Raises:
        SecretError: it is empty, or holds what no request can carry.
    """
    if not value.strip():
        raise SecretError(f"secret {field!r} is empty")
    if "\0" in value:
        raise SecretError(f"secret {field!r} holds a NUL character: it was read from something that is not text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise SecretError(f"secret {field!r} holds bytes that are not text (UTF-8): copy it again")
    if multi_line:
        return value
    if value != value.rstrip("\r\n"):
        raise SecretError(f"secret {field!r} ends with a line break: write it without, as in printf %s instead of echo")
    if value != value.strip():
        raise SecretError(f"secret {field!r} begins or ends with white space: remove it")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise SecretError(f"secret {field!r} holds a line break or another control character")
    if not value.isascii():
        raise SecretError(
            f"secret {field!r} holds a character outside ASCII, which no request header can carry: copy it again"
        )
    return value


def _bytes(value: str) -> bytes:
    # Python reads bytes of the environment that are not UTF-8 as lone surrogates; an error would show the value.
    return value.encode("utf-8", "surrogatepass")

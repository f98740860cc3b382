"""`{placeholder}` templates: substitution with filters, and nothing that is evaluated.

    {name}   {name|base64}   {name|default("x")|lower}   {body|hmac_sha256(secret)}   {uuid}   {now}   {now("unix")}

`{{` and `}}` are literal braces.
"""

import base64
import functools
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from urllib.parse import quote

MAX_LENGTH = 16_384


class TemplateError(ValueError):
    """A template cannot be read or filled; the text names the placeholder, never a value."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the built-in heads `{now}` and `{uuid}` get their values."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    uuid: Callable[[], str] = lambda: str(uuid.uuid4())


_FILTERS: dict[str, Callable[[str], str]] = {
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "urlencode": lambda value: quote(value, safe=""),
    "json": json.dumps,
    "lower": str.lower,
    "sha256": lambda value: hashlib.sha256(value.encode()).hexdigest(),
}
FILTER_NAMES = (*_FILTERS, "default", "hmac_sha256")
BUILT_IN = frozenset({"now", "uuid"})

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CALL = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)\s*(?:\(\s*(?:"([^"]*)"|([A-Za-z_][A-Za-z0-9_]*))?\s*\))?""")


@dataclass(frozen=True, slots=True)
class _Call:
    """A filter or a head with its argument: a text in quotation marks, or a name."""

    name: str
    text: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `{…}` of a template."""

    head: _Call
    filters: tuple[_Call, ...]

    @property
    def names(self) -> frozenset[str]:
        """The values it needs; one with a default can do without."""
        needed = {call.reference for call in self.filters if call.reference}
        if self.head.name not in BUILT_IN:
            needed.add(self.head.name)
        return frozenset(name for name in needed if name)

    def fill(self, values: Mapping[str, str], environment: Environment | None = None) -> str:
        """The value, through all filters. Raises TemplateError."""
        value = self._head(values, environment or _ENVIRONMENT)
        for call in self.filters:
            if call.name == "default":
                value = value or call.text or ""
            elif value is None:
                continue
            elif call.name == "hmac_sha256":
                key = _value_of(call.reference or "", values)
                value = hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()
            else:
                value = _FILTERS[call.name](value)
        if value is None:
            raise TemplateError(f"nothing fills placeholder {{{self.head.name}}}{_near(self.head.name, values)}")
        return value

    def _head(self, values: Mapping[str, str], environment: Environment) -> str | None:
        if self.head.name == "uuid":
            return environment.uuid()
        if self.head.name == "now":
            return _time(environment.now(), self.head.text)
        return values.get(self.head.name)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template; parse once, render often."""

    text: str
    parts: tuple[str | Placeholder, ...]
    names: frozenset[str]

    @staticmethod
    @functools.lru_cache(maxsize=4096)
    def parse(text: str) -> "Template":
        """Read a template.

        Raises:
            TemplateError: a brace without partner, an unknown filter, or an argument where none belongs.
        """
        if len(text) > MAX_LENGTH:
            raise TemplateError(f"a template may have {MAX_LENGTH} characters, this one has {len(text)}")
        parts = tuple(_parts(text))
        names = frozenset(name for part in parts if isinstance(part, Placeholder) for name in part.names)
        return Template(text, parts, names)

    def render(
        self,
        values: Mapping[str, str],
        *,
        encode: Callable[[str], str] | None = None,
        environment: Environment | None = None,
    ) -> str:
        """Fill in the placeholders; `encode` is applied to each value, not to the text around it.

        Raises:
            TemplateError: a placeholder without value and default.
        """
        if not self.names and len(self.parts) == 1 and isinstance(self.parts[0], str):
            return self.parts[0]
        filled = (
            part if isinstance(part, str) else (encode or str)(part.fill(values, environment)) for part in self.parts
        )
        return "".join(filled)


_ENVIRONMENT = Environment()


def _parts(text: str) -> list[str | Placeholder]:
    parts: list[str | Placeholder] = []
    literal, position = "", 0
    while position < len(text):
        pair, character = text[position : position + 2], text[position]
        if pair in ("{{", "}}"):
            literal, position = literal + character, position + 2
        elif character == "{":
            end = _closing(text, position)
            if literal:
                parts.append(literal)
            parts.append(_placeholder(text[position + 1 : end]))
            literal, position = "", end + 1
        elif character == "}":
            raise TemplateError("a } without its {; write }} for a literal brace")
        else:
            literal, position = literal + character, position + 1
    return [*parts, literal] if literal or not parts else parts


def _closing(text: str, start: int) -> int:
    """The index of the brace that ends a placeholder; braces within quotation marks do not count."""
    quoted = False
    for index in range(start + 1, len(text)):
        if text[index] == '"':
            quoted = not quoted
        elif text[index] == "}" and not quoted:
            return index
    raise TemplateError("a { without its }; write {{ for a literal brace")


def _placeholder(inner: str) -> Placeholder:
    head, *filters = [_call(piece.strip()) for piece in _pieces(inner)]
    if (head.text is not None and head.name != "now") or head.reference is not None:
        raise TemplateError(f'{{{head.name}}}: only now takes an argument, as in {{now("unix")}}')
    for call in filters:
        _check_filter(call)
    return Placeholder(head, tuple(filters))


def _pieces(inner: str) -> list[str]:
    """What stands between the bars; bars within quotation marks do not count."""
    pieces, quoted = [""], False
    for character in inner:
        quoted ^= character == '"'
        if character == "|" and not quoted:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def _call(piece: str) -> _Call:
    match = _CALL.fullmatch(piece)
    if match is None:  # what stands there is not repeated: it may be JSON with a password in it
        raise TemplateError("no placeholder between { and }: write {name} or {name|filter}; {{ is a literal brace")
    return _Call(match[1], match[2], match[3])


def _check_filter(call: _Call) -> None:
    if call.name not in FILTER_NAMES:
        raise TemplateError(f"unknown filter {call.name}{_near(call.name, FILTER_NAMES, braces=False)}")
    if call.name == "default" and call.text is None:
        raise TemplateError('default needs a text: {name|default("text")}')
    if call.name == "hmac_sha256" and call.reference is None:
        raise TemplateError("hmac_sha256 needs the name of a secret: {name|hmac_sha256(secret)}")
    if call.name in _FILTERS and (call.text is not None or call.reference is not None):
        raise TemplateError(f"filter {call.name} takes no argument")


def _value_of(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise TemplateError(f"nothing fills {name!r}{_near(name, values)}")
    return values[name]


def _time(now: datetime, form: str | None) -> str:
    if form == "unix":
        return str(int(now.timestamp()))
    return now.strftime(form) if form else now.isoformat(timespec="seconds").replace("+00:00", "Z")


def _near(name: str, known: object, *, braces: bool = True) -> str:
    close = get_close_matches(name, list(known), n=1)  # type: ignore[call-overload]
    return f"; did you mean {{{close[0]}}}?" if close and braces else f"; did you mean {close[0]}?" if close else ""

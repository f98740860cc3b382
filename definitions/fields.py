"""Field types that several documents share. Their messages name the fault, never the value."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from definitions.base import Model
from definitions.templates import Template, TemplateError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOST = re.compile(r"(\*\.)?[^\W_]([\w-]*[^\W_])?(\.[^\W_]([\w-]*[^\W_])?)*")
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(\s*;\s*{_TOKEN}=({_TOKEN}|\"[^\"\\\x00-\x1f\x7f-\U0010ffff]*\"))*")
_STATUS = re.compile(r"[1-5]xx|([1-5]\d\d)(?:-([1-5]\d\d))?")


def _template(text: str) -> str:
    try:
        Template.parse(text)
    except TemplateError as error:
        raise ValueError(str(error)) from None
    return text


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        position = getattr(error, "lex_position", None)
        where = (
            f"fault at character {position + 1}" if isinstance(position, int) and position >= 0 else "it is not whole"
        )
        raise ValueError(f"not a JMESPath expression: {where}") from None
    except RecursionError:
        raise ValueError("not a JMESPath expression: it is nested too deeply") from None
    return text


def check_identifier(name: str) -> str:
    """Raises ValueError unless it can stand in braces."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError("a name is made of letters, digits and _, and does not begin with a digit")
    return name


def check_header_name(name: str) -> str:
    """Raises ValueError unless it is a token (RFC 9110 §5.1); names of cookies are tokens too."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("the name must be letters, digits and -_.!#$%&'*+^`|~ only")
    return name


def check_media_type(text: str) -> str:
    """Raises ValueError unless it is a media type (RFC 9110 §8.3.1)."""
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError("expected a media type such as text/xml or application/soap+xml")
    return text


def _host(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise ValueError(
            "expected the name of a host, such as api.example.com or *.example.com, without scheme and path"
        )
    return name


def _status_pattern(value: Any) -> str:
    text = str(value)
    match = _STATUS.fullmatch(text)
    if match is None or isinstance(value, bool):
        raise ValueError("expected a status pattern: 2xx, 404 or 200-204")
    if match[2] and match[2] < match[1]:
        raise ValueError("a range of statuses begins with the lower one: 200-204")
    return text


def _not_empty(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        raise ValueError("expected at least one status pattern, such as 2xx")
    return patterns


def _as_pairs(value: Any) -> Any:
    """Accept `{name: value}`, `{name: [value, value]}` or `[[name, value], …]`; order is kept."""
    if not isinstance(value, Mapping):
        return value
    return [
        (name, item)
        for name, items in value.items()
        for item in (items if isinstance(items, list | tuple) else [items])
    ]


def _pairs_schema(description: str) -> WithJsonSchema:
    values = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    pair = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    either = [{"type": "object", "additionalProperties": values}, {"type": "array", "items": pair}]
    return WithJsonSchema({"anyOf": either, "description": description})


TemplateText = Annotated[str, AfterValidator(_template), Field(description="Text with {placeholders}")]
Expression = Annotated[str, AfterValidator(_expression), Field(description="A JMESPath expression")]
Identifier = Annotated[str, AfterValidator(check_identifier)]
HeaderName = Annotated[str, AfterValidator(check_header_name)]
Host = Annotated[str, AfterValidator(_host)]
MediaType = Annotated[str, AfterValidator(check_media_type)]
Status = Annotated[int, Field(ge=100, le=599)]

StatusPattern = Annotated[
    str,
    BeforeValidator(_status_pattern),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": f"^({_STATUS.pattern})$"}]}),
]

Statuses = Annotated[tuple[StatusPattern, ...], AfterValidator(_not_empty)]

Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_as_pairs), _pairs_schema("Names with values")]
"""Names with values, in order, names may repeat."""

TemplatePairs = Annotated[
    tuple[tuple[str, TemplateText], ...],
    BeforeValidator(_as_pairs),
    _pairs_schema("Names with values, which may hold {placeholders}"),
]


KEEP_ALIVE = "Renewed at least this often, where a provider lets refresh tokens lapse that are not used"


class SecretField(Model):
    """What the vault holds for one name; the value never stands in a file."""

    label: str | None = None
    optional: bool = False
    identifier: bool = False
    """Names somebody and proves nothing, like a user name: encrypted too, but not masked where a provider shows it."""

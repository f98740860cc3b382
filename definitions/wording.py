"""What pydantic found wrong, in the words of whoever wrote it: in a file, in a request, or at a command line.

The values themselves never stand in it: what is in the wrong place may be a secret.
"""

import functools
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from definitions.base import KEY_PATTERN
from definitions.problems import Path

_TAGS = ("union_tag_invalid", "union_tag_not_found")
_MESSAGES = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "string_type": "expected text: put it in quotation marks",
    "dict_type": "expected keys with values",
    "model_type": "expected keys with values",
    "model_attributes_type": "expected keys with values",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "timezone_aware": "expected an instant with its time zone, such as 2026-03-31T08:00:00Z",
}

_PATTERNS = {
    KEY_PATTERN: "letters and digits, - and _ within, 64 characters at most",
    "^[0-7]{3,4}$": "three or four digits 0 to 7, such as 0640",
    "^[0-9a-f]{64}$": "64 hexadecimal digits (0-9, a-f)",
    "^[0-9a-fA-F]{64}$": "64 hexadecimal digits",
    "^[0-9a-f]{32}$": "32 hexadecimal digits (0-9, a-f)",
    "^run-[0-9a-f]{32}$": "run- and 32 hexadecimal digits (0-9, a-f)",
}


def told_once(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """A list whose items are at fault is not too short as well, as pydantic says."""
    return [
        each
        for each in details
        if each["type"] != "too_short"
        or not any(other["loc"][: len(each["loc"])] == each["loc"] for other in details if other is not each)
    ]


def message(detail: ErrorDetails) -> str:
    """What was expected."""
    kind, told = detail["type"], detail.get("ctx", {})
    if kind in _TAGS:
        expected = told.get("expected_tags")
        return f"expected one of {expected}" if expected else "is missing: it says which kind of thing this is"
    if kind == "string_pattern_mismatch":
        pattern = str(told.get("pattern"))
        return f"expected {_PATTERNS.get(pattern) or f'text that matches {pattern}'}"
    if kind == "json_invalid":
        return f"is not JSON ({told.get('error', 'it ends too early')})"
    return _MESSAGES.get(kind) or _plain(detail)


def path_in(data: Any, detail: ErrorDetails) -> Path:
    """Where the fault stands in the document: pydantic's location without what stands in none, which is names of union
    members, and places within a value of ours."""
    path = tuple(_parts(data, detail))
    return (*path, "type") if detail["type"] in _TAGS else path


def suggestion(detail: ErrorDetails, *roots: type[BaseModel]) -> str | None:
    """For an unknown key the one that was probably meant, of all that these models and their parts have."""
    if detail["type"] != "extra_forbidden":
        return None
    # A key of another place may be spelt as it should be, and is no help here.
    written = str(detail["loc"][-1])
    near = get_close_matches(written, sorted(_field_names(roots) - {written}), n=1)
    return near[0] if near else None


def _plain(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":  # our own words, which may begin with the name of a setting
        return detail["msg"].removeprefix("Value error, ")
    text = detail["msg"].removeprefix("Input should be ")
    expected = text if text == detail["msg"] else f"expected {text}"
    return expected[:1].lower() + expected[1:]


def _parts(data: Any, detail: ErrorDetails) -> Iterator[str | int]:
    here, location = data, detail["loc"]
    for index, part in enumerate(location):
        if isinstance(part, int) and isinstance(here, dict):
            yield from _nth_name(here, part)
            return
        if part == "[key]" or (isinstance(part, int) and not isinstance(here, list)):
            return
        if _holds(here, part):
            here = here[part]
        elif index < len(location) - 1 or detail["type"] != "missing":
            continue
        yield part


def _nth_name(pairs: dict[str, Any], index: int) -> list[str]:
    """Where names with values are written as `{name: value}` or `{name: [value, value]}`, pydantic sees a list."""
    names = [name for name, items in pairs.items() for _ in (items if isinstance(items, list) else [items])]
    return names[index : index + 1]


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


@functools.cache
def _field_names(roots: tuple[type[BaseModel], ...]) -> frozenset[str]:
    return frozenset(name for model in _models(roots) for name in _names(model))


def _models(roots: tuple[type[BaseModel], ...]) -> Iterator[type[BaseModel]]:
    waiting, seen = list(roots), set[type[BaseModel]]()
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        yield model
        waiting += [found for field in model.model_fields.values() for found in _models_in(field.annotation)]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)


def _names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name

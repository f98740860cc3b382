"""From YAML to checked documents: every fault is told with file, line, path and what was probably meant."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from definitions.base import KEY_PATTERN, Model
from definitions.checks import faults_of
from definitions.integration import Integration
from definitions.problems import DefinitionErrors, Path, Problem, dotted
from definitions.profile import Profile
from definitions.yaml_source import Source, read_documents

KINDS: dict[str, type[Model]] = {"integration": Integration, "profile": Profile}
_KEY_FIELD = {"integration": "key", "profile": "name"}


@dataclass(frozen=True, slots=True)
class Document:
    """One checked document and where it stands."""

    kind: str
    key: str
    model: Integration | Profile
    source: str
    line: int


def load_paths(paths: Iterable[FilePath]) -> list[Document]:
    """Load files, and in folders every `*.yaml` and `*.yml`, in order of their names.

    Raises:
        DefinitionErrors: something is wrong; all of it is told at once.
        FileNotFoundError: a path is not there.
    """
    files = [file for path in paths for file in _files(path)]
    return _gather((file.read_text(encoding="utf-8"), str(file)) for file in files)


def load_text(text: str, source: str) -> list[Document]:
    """Load a text of one or more documents; `source` is what messages call it."""
    return _gather([(text, source)])


def json_schema() -> dict[str, Any]:
    """The format as a JSON Schema (draft 2020-12), for editors."""
    adapter: TypeAdapter[Any] = TypeAdapter(Integration | Profile)
    schema = adapter.json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tieline definitions",
        "oneOf": schema.pop("anyOf"),
        **schema,
    }


def _files(path: FilePath) -> list[FilePath]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml"))
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    return [path]


def _gather(texts: Iterable[tuple[str, str]]) -> list[Document]:
    documents: list[Document] = []
    problems: list[Problem] = []
    for text, name in texts:
        try:
            sources = list(read_documents(text, name))
        except DefinitionErrors as error:
            problems += error.problems
            continue
        if not sources:
            problems.append(Problem("document", "", name, 1, f"is empty: expected {_EXPECTED}"))
        for source in sources:
            try:
                documents.append(_document(source))
            except DefinitionErrors as error:
                problems += error.problems
    problems += _twice(documents)
    if problems:
        raise DefinitionErrors(problems)
    return documents


def _document(source: Source) -> Document:
    data = source.data
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise DefinitionErrors([_kind_problem(source, kind)])
    thing = _thing(kind, data.get(_KEY_FIELD[kind]))
    try:
        model = KINDS[kind].model_validate(data)
    except ValidationError as error:
        details = _told_once(error.errors(include_input=False, include_url=False))
        raise DefinitionErrors([_problem(source, thing, detail) for detail in details]) from None
    assert isinstance(model, (Integration, Profile))
    if isinstance(model, Integration):
        found = [
            Problem(thing, dotted(fault.path), source.name, source.line_of(fault.path), fault.message, fault.near)
            for fault in faults_of(model)
        ]
        if found:
            raise DefinitionErrors(found)
    key = model.key if isinstance(model, Integration) else model.name
    return Document(kind, key, model, source.name, source.line)


def _told_once(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """A list whose items are at fault is not too short as well, as pydantic says."""
    return [
        each
        for each in details
        if each["type"] != "too_short"
        or not any(other["loc"][: len(each["loc"])] == each["loc"] for other in details if other is not each)
    ]


_EXPECTED = " or ".join(f"kind: {name}" for name in KINDS)


def _kind_problem(source: Source, kind: object) -> Problem:
    near = get_close_matches(str(kind), KINDS, n=1)
    return Problem(
        "document", "kind", source.name, source.line_of(("kind",)), f"expected {_EXPECTED}", near[0] if near else None
    )


def _thing(kind: str, key: object) -> str:
    """What messages call the document: a key that is none may be anything, and is not repeated."""
    return f"{kind} {key!r}" if isinstance(key, str) and re.fullmatch(KEY_PATTERN, key) else kind


def _problem(source: Source, thing: str, detail: ErrorDetails) -> Problem:
    path = _yaml_path(source.data, detail)
    place = dotted(path)
    line = source.line_of(path)
    if detail["type"] == "extra_forbidden":
        # A key of another place may be spelt as it should be, and is no help here.
        near = get_close_matches(str(path[-1]), _field_names(without=str(path[-1])), n=1)
        return Problem(thing, place, source.name, line, "unknown key", near[0] if near else None)
    if detail["type"] == "missing":
        return Problem(thing, place, source.name, line, "is missing")
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return Problem(thing, f"{place}.type", source.name, line, _tag_message(detail))
    return Problem(thing, place, source.name, line, _plain(detail))


def _tag_message(detail: ErrorDetails) -> str:
    expected = detail.get("ctx", {}).get("expected_tags")
    return f"expected one of {expected}" if expected else "is missing: it says which kind of thing this is"


_MESSAGES = {
    "string_type": "expected text: put it in quotation marks",
    "string_pattern_mismatch": "expected letters and digits, - and _ within, 64 characters at most",
    "dict_type": "expected keys with values",
    "model_type": "expected keys with values",
    "model_attributes_type": "expected keys with values",
    "tuple_type": "expected a list",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
}


def _plain(detail: ErrorDetails) -> str:
    """What was expected, in the words of somebody who writes YAML; values never stand in it."""
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    expected = text if text == detail["msg"] or detail["type"] == "value_error" else f"expected {text}"
    return _MESSAGES.get(detail["type"], expected[:1].lower() + expected[1:])


def _yaml_path(data: Any, detail: ErrorDetails) -> Path:
    """pydantic's location without what stands in no file: names of union members, places within a value of ours."""
    path: list[str | int] = []
    here = data
    location = detail["loc"]
    for index, part in enumerate(location):
        if isinstance(part, int) and isinstance(here, dict):
            path.append(_nth_name(here, part))
            break
        if part == "[key]" or (isinstance(part, int) and not isinstance(here, list)):
            break
        if _holds(here, part):
            here = here[part]
        elif index < len(location) - 1 or detail["type"] != "missing":
            continue
        path.append(part)
    return tuple(path)


def _nth_name(pairs: dict[str, Any], index: int) -> str:
    """Where names with values are written as `{name: value}` or `{name: [value, value]}`, pydantic sees a list."""
    return [name for name, items in pairs.items() for _ in (items if isinstance(items, list) else [items])][index]


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _field_names(*, without: str) -> list[str]:
    """Every other key that some document can have."""
    return sorted({name for model in _models(Integration, Profile) for name in _names(model)} - {without})


def _models(*roots: type[BaseModel]) -> Iterator[type[BaseModel]]:
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


def _twice(documents: Sequence[Document]) -> list[Problem]:
    first: dict[tuple[str, str], Document] = {}
    found = []
    for document in documents:
        earlier = first.setdefault((document.kind, document.key), document)
        if earlier is not document:
            where = f"{earlier.source}:{earlier.line}"
            thing = f"{document.kind} {document.key!r}"
            found.append(Problem(thing, "", document.source, document.line, f"was already defined at {where}"))
    return found

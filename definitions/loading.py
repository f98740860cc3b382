"""From YAML to checked documents: every fault is told with file, line, path and what was probably meant."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from definitions.base import KEY_PATTERN, Model
from definitions.checks import faults_of
from definitions.integration import Integration
from definitions.problems import DefinitionErrors, Problem, dotted
from definitions.profile import Profile
from definitions.wording import message, path_in, suggestion, told_once
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
        details = told_once(error.errors(include_input=False, include_url=False))
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
    path = path_in(source.data, detail)
    near = suggestion(detail, Integration, Profile)
    return Problem(thing, dotted(path), source.name, source.line_of(path), message(detail), near)


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

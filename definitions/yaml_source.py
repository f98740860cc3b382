"""YAML with the line of every value, and without what makes YAML surprising: aliases, duplicate keys, tags."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.reader import ReaderError

from definitions.problems import DefinitionErrors, Path, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Source:
    """One YAML document: plain data, and the line of each path in it."""

    name: str
    data: Any
    line: int
    lines: dict[Path, int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


def read_documents(text: str, name: str) -> Iterator[Source]:
    """All documents of a text, empty ones left out.

    Raises:
        DefinitionErrors: it is no YAML, too large, or uses aliases, tags or a key twice.
    """
    if len(text) > MAX_BYTES:
        raise _error(name, 1, f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        loader = yaml.SafeLoader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _error(name, line, f"not YAML: a character that YAML does not allow, #x{error.character:04x}") from None
    try:
        yield from _documents(loader, name)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _error(name, line, f"not YAML: {error.problem}") from None
    except RecursionError:
        raise _error(name, loader.line + 1, _TOO_DEEP) from None
    finally:
        loader.dispose()


def _documents(loader: yaml.SafeLoader, name: str) -> Iterator[Source]:
    while loader.check_node():
        node = loader.get_node()
        assert node is not None, "check_node has said that there is one"
        constructor = _Constructor(loader, name)
        data = constructor.build(node)
        if data is not None:
            yield Source(name, data, node.start_mark.line + 1, constructor.lines)


def _tags(*kinds: str) -> frozenset[str]:
    return frozenset(f"tag:yaml.org,2002:{kind}" for kind in kinds)


_PLAIN_TAGS = _tags("str", "int", "float", "bool", "null")
_GUESSED_TAGS = _tags("timestamp", "value", "merge", "map", "seq")
"""What YAML gives to values without a tag of their own. Dates, and whatever else it guesses, stay as written."""

_TOO_DEEP = "nested too deeply"


class _Constructor:
    """Builds plain data out of one document's nodes and remembers where each value stands."""

    def __init__(self, loader: yaml.SafeLoader, name: str) -> None:
        self.lines: dict[Path, int] = {}
        self._loader = loader
        self._name = name
        self._seen: set[int] = set()

    def build(self, node: yaml.Node, path: Path = ()) -> Any:
        line = node.start_mark.line + 1
        if len(path) > MAX_DEPTH:
            raise _error(self._name, line, _TOO_DEEP)
        if node.tag not in _PLAIN_TAGS | _GUESSED_TAGS:
            raise _error(self._name, line, "tags are not supported: write the value without !")
        if id(node) in self._seen:
            raise _error(self._name, line, "aliases are not supported: write the value out")
        self._seen.add(id(node))
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, line) if node.tag in _PLAIN_TAGS else node.value

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        try:
            return self._loader.construct_object(node)
        except (ValueError, KeyError):  # !!int x, or a number of thousands of digits
            raise _error(self._name, line, "the value cannot be read: put it in quotation marks") from None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
                raise _error(self._name, line, "a key must be plain text")
            key = key_node.value
            if key in found:
                raise _error(self._name, line, f"key {key!r} stands here twice")
            self.lines[(*path, key)] = line
            found[key] = self.build(value_node, (*path, key))
        return found


def _error(name: str, line: int, message: str) -> DefinitionErrors:
    return DefinitionErrors([Problem("document", "", name, line, message)])

"""YAML with the line of every value, and without what makes YAML surprising: aliases, duplicate keys, tags."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from definitions.problems import DefinitionErrors, Problem

Path = tuple[str | int, ...]
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
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None, "check_node has said that there is one"
            constructor = _Constructor(loader, name)
            data = constructor.build(node)
            if data is not None:
                yield Source(name, data, node.start_mark.line + 1, constructor.lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _error(name, line, f"not YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise _error(name, 1, "not YAML: the file holds characters that YAML does not allow") from None
    finally:
        loader.dispose()


_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))
"""Dates, and whatever else YAML guesses, stay the text that was written."""


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
            raise _error(self._name, line, "nested too deeply")
        if id(node) in self._seen:
            raise _error(self._name, line, "aliases are not supported: write the value out")
        self._seen.add(id(node))
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node) if node.tag in _PLAIN_TAGS else node.value

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

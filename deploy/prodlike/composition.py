"""What `deploy/compose.yaml` says about a service, moved from containers to processes of this machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "compose.yaml"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


class NotSet(Exception):
    """A variable that compose.yaml insists on has no value."""


@dataclass(frozen=True, slots=True)
class Place:
    """A text of compose.yaml that names a place in a container network, and what it is on this machine."""

    there: str
    here: str


@dataclass(frozen=True)
class Composition:
    """The file, with the variables that `deploy/.env` would hold."""

    variables: Mapping[str, str]
    file: Path = FILE

    @cached_property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """As they stand there, anchors and merges resolved."""
        found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(self.file.read_text(encoding="utf-8"))["services"]
        return found

    def environment(self, service: str, *places: Place) -> dict[str, str]:
        """The variables of a service; each place is put in where its text stands.

        Raises:
            NotSet: a variable without which compose would not start has no value.
        """
        found = self.services[service].get("environment", {})
        return {name: _moved(self.filled(str(value)), places) for name, value in found.items()}

    def command(self, service: str) -> list[str]:
        """What is run, behind the image's entry point."""
        return [str(word) for word in self.services[service].get("command", [])]

    def filled(self, text: str) -> str:
        """A text with its `${NAME}`, `${NAME:-default}` and `${NAME:?message}` filled in."""

        def value(match: re.Match[str]) -> str:
            known = self.variables.get(match["name"], "")
            if known or match["kind"] is None:
                return known
            if match["kind"] == "?":
                raise NotSet(f"{match['name']}: {match['rest']}")
            return str(match["rest"])

        return _VARIABLE.sub(value, text)


def _moved(text: str, places: tuple[Place, ...]) -> str:
    for place in places:
        text = text.replace(place.there, place.here)
    return text

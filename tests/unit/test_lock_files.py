"""The lock files hold what pyproject.toml asks for, and nothing about where it came from."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text())
RUNTIME: list[str] = PROJECT["project"]["dependencies"]
DEVELOPMENT: list[str] = PROJECT["dependency-groups"]["dev"]


def pinned(lock: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)==(\S+)", Path(lock).read_text()))


@pytest.mark.parametrize("requirement", [*map(Requirement, RUNTIME)], ids=str)
def test_both_lock_files_satisfy_what_tieline_needs(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pinned("requirements.lock")[requirement.name])
    assert requirement.specifier.contains(pinned("requirements-dev.lock")[requirement.name])


@pytest.mark.parametrize("requirement", [*map(Requirement, DEVELOPMENT)], ids=str)
def test_the_development_lock_file_satisfies_what_the_tools_need(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pinned("requirements-dev.lock")[requirement.name])


def test_development_and_production_run_the_same_versions() -> None:
    assert pinned("requirements.lock").items() <= pinned("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_file_names_neither_an_index_nor_a_path(lock: str) -> None:
    assert re.findall(r"(?m)^-.*|\w+://\S+|(?<!\S)/\S+", Path(lock).read_text()) == []


ROOMS: list[str] = PROJECT["tool"]["importlinter"]["root_packages"]
DISTRIBUTIONS = packages_distributions()


def imported(folder: str) -> Iterator[str]:
    """The packages that the files in a folder import, as their index names them."""
    for file in Path(folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                yield from (canonicalize_name(found) for found in DISTRIBUTIONS.get(top, [])[:1])


def declared(requirements: list[str]) -> set[str]:
    return {Requirement(each).name for each in requirements}


BROUGHT_BY = {
    "httpcore2": "httpx2",
    "opentelemetry-api": "opentelemetry-sdk",
    "pydantic-core": "pydantic",
    "googleapis-common-protos": "temporalio",
}
"""One project with, or a part of the face of, what is declared."""


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_imports_is_declared(room: str) -> None:
    found = {BROUGHT_BY.get(name, name) for name in imported(room)}
    assert found - {"tieline"} <= declared(RUNTIME)

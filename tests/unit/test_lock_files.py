"""The lock files hold what pyproject.toml asks for, and nothing about where it came from."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

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

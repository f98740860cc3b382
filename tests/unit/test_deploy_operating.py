"""The operator's page names only what there is."""

import re
from pathlib import Path

import pytest
import typer

from cli.app import build
from deploy.prodlike.composition import FILE, Composition
from runtime.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
TYPED = sorted(set(re.findall(r"(?:`tieline |\$ tieline |--rm tieline )([a-z-]+(?: [a-z][a-z-]+)?)", PAGE)))


@pytest.mark.parametrize("typed", TYPED)
def test_a_command_that_is_told_exists(typed: str) -> None:
    first, *second = typed.split()
    commands = getattr(typer.main.get_command(build()), "commands")  # noqa: B009 - of a group, not of every command
    assert first in commands
    inner = getattr(commands[first], "commands", None)
    assert inner is None or second[0] in inner


def test_commands_were_found_at_all() -> None:
    assert {"prepare", "doctor", "keys rotate", "accounts connect", "runs decide"} <= set(TYPED)


def test_a_service_that_is_told_is_one_of_compose() -> None:
    told = set(re.findall(r"docker compose (?:up -d|run --rm|exec) (?:--scale )?([a-z][a-z-]+)", PAGE))
    assert {"worker", "gateway", "tieline", "prepare", "postgresql"} <= told
    assert told <= Composition({}, FILE).services.keys()


def test_a_variable_that_is_told_is_a_setting() -> None:
    told = set(re.findall(rf"`{PREFIX}(\w+)`", PAGE))
    assert len(told) > 3
    assert {name for name in told if name.lower() not in Settings.model_fields} == set()

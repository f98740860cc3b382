"""docs/faults.md names tests that are there, for every fault of its table."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()
FAULTS = re.findall(r"^\| ([0-9]+) \|", PAGE, re.MULTILINE)
ITEMS = dict(re.findall(r"^([0-9]+)\. ((?:.+\n)(?: +.+\n)*)", PAGE, re.MULTILINE))
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)


@pytest.fixture(scope="module")
def written() -> set[tuple[str, str]]:
    """The tests of the files that are named, by file and name."""
    return {
        (path.name, node.name)
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.name in {file for file, _ in NAMED}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_fault_from_the_first_to_the_last_is_there() -> None:
    assert [str(number) for number in range(1, len(FAULTS) + 1)] == FAULTS == list(ITEMS)
    assert len(FAULTS) >= 18


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_a_test(fault: str) -> None:
    assert "::test_" in ITEMS[fault]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_is_written(written: set[tuple[str, str]], file: str, name: str) -> None:
    assert (file, name) in written

"""Commands load no more than they use: what a shell waits for before every answer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "temporalio",
    "sqlalchemy",
    "alembic",
    "pydantic",
    "httpx2",
    "authlib",
    "opentelemetry",
    "cryptography",
    "yaml",
)

PROBE = """
import io, json, sys
real, sys.stdout = sys.stdout, io.StringIO()
from cli.app import run
status = run(sys.argv[2:])
json.dump([status, [name for name in json.loads(sys.argv[1]) if name in sys.modules]], real)
"""

EXAMPLES = str(Path(__file__).parents[2] / "examples" / "demo" / "definitions")


@pytest.mark.parametrize(
    ("typed", "loaded"),
    [
        (("--help",), set()),
        (("call", "--help"), {"pydantic"}),  # by typer itself
        (("validate", EXAMPLES), {"pydantic", "yaml"}),
        (("accounts", "list"), {"pydantic", "yaml", "sqlalchemy", "cryptography", "alembic"}),
    ],
    ids=["help", "help of a command", "validate", "accounts"],
)
def test_a_command_loads_only_what_it_uses(tmp_path: Path, typed: tuple[str, ...], loaded: set[str]) -> None:
    environment = {"TIELINE_DATA_DIR": str(tmp_path / "data"), "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])}

    probed = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(HEAVY), *typed],
        capture_output=True,
        check=True,
        env=environment,
    )

    assert json.loads(probed.stdout) == [0, sorted(loaded, key=HEAVY.index)]

"""Commands load no more than they use: what a shell waits for before every answer."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from storage.database import Database
from storage.migrate import MIGRATIONS, newest_revision

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
        (("accounts", "list"), {"pydantic", "yaml", "sqlalchemy", "cryptography"}),
    ],
    ids=["help", "help of a command", "validate", "accounts"],
)
def test_a_command_loads_only_what_it_uses(folder: Path, typed: tuple[str, ...], loaded: set[str]) -> None:
    environment = {"TIELINE_DATA_DIR": str(folder), "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])}

    probed = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(HEAVY), *typed], capture_output=True, check=True, env=environment
    )

    assert json.loads(probed.stdout) == [0, sorted(loaded, key=HEAVY.index)]


def test_the_newest_revision_is_known_without_alembic() -> None:
    script = ScriptDirectory(str(MIGRATIONS))

    assert newest_revision() == script.get_current_head()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder whose database is up to date, as nearly always."""

    async def migrate() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/tieline.db")
        await database.migrate()
        await database.dispose()

    asyncio.run(migrate())
    return tmp_path

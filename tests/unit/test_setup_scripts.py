"""The scripts of the set-up, with stand-ins for the programs that would change the machine."""

import os
import subprocess
from pathlib import Path

import pytest

INSTALL = Path("scripts/install-system-packages").resolve()
BOOTSTRAP = Path("scripts/bootstrap").resolve()


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Goes before everything else in PATH; `apt-get` notes down what it is asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder / "apt-get", f'echo "$@" >>{tmp_path}/asked')
    program(folder / "id", "echo 0")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(programs: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin"}
    return subprocess.run(["sh", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)


def test_what_is_named_is_installed(programs: Path) -> None:
    ran = run(programs, str(INSTALL), "python3.11-venv")

    assert ran.returncode == 0, ran.stderr
    asked = (programs.parent / "asked").read_text().splitlines()
    assert asked == ["update -qq", "install -y -qq --no-install-recommends python3.11-venv"]


def test_a_user_who_cannot_install_is_told_what_to_install(programs: Path) -> None:
    program(programs / "id", "echo 1000")
    program(programs / "sudo", 'echo "sudo: a password is required" >&2; exit 1')

    ran = run(programs, str(INSTALL), "python3.11-venv")

    assert ran.returncode == 1
    assert not (programs.parent / "asked").exists()


def test_the_programs_of_postgresql_are_found_where_both_are(programs: Path) -> None:
    program(programs / "postgres", "")
    program(programs / "initdb", "")

    assert run(programs, str(INSTALL), "--postgresql-folder").stdout == f"{programs}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with nothing but these scripts."""
    folder = tmp_path / "project"
    (folder / "scripts").mkdir(parents=True)
    for script in (INSTALL, BOOTSTRAP):
        (folder / "scripts" / script.name).write_text(script.read_text())
    (folder / "requirements-dev.lock").touch()
    return folder


def python_without_venv(path: Path, until_asked: str) -> str:
    """A Python that has the module once `until_asked` is a file; it makes no environment, which ends the set-up."""
    program(path, f"""case "$*" in *venv*) test -f {until_asked};; *%d.%d*) echo 3.11;; *) cat >/dev/null;; esac""")
    return str(path)


def test_a_python_without_venv_gets_it(programs: Path, project: Path, tmp_path: Path) -> None:
    python = python_without_venv(programs / "python3", f"{tmp_path}/asked")

    ran = run(programs, str(project / "scripts" / "bootstrap"), python)

    assert "install -y -qq --no-install-recommends python3.11-venv" in (tmp_path / "asked").read_text()
    assert "setup: making .venv" in ran.stdout


def test_a_python_without_venv_that_cannot_get_it_says_so(programs: Path, project: Path) -> None:
    program(programs / "apt-get", "exit 100")
    python = python_without_venv(programs / "python3", "/nowhere")

    ran = run(programs, str(project / "scripts" / "bootstrap"), python)

    assert ran.returncode == 1
    assert "this Python lacks its venv module; on Debian and Ubuntu: apt-get install python3.11-venv" in ran.stderr

"""`tieline accounts` in this process: what it shows of accounts of SFTP servers."""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.app import run

CARELESS = """
kind: integration
key: careless
name: A server that may be anybody
base_url: "sftp://files.example"
auth: {type: sftp, host_key: insecure}
"""
CREATE = ("accounts", "create", "x", "--integration", "careless")
SECRETS = ("--secret", "username=env:FILES_PASSWORD", "--secret", "password=env:FILES_PASSWORD")

Told = Callable[..., str]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """A command, and what it prints."""
    monkeypatch.setenv("TIELINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FILES_PASSWORD", "correct horse battery")
    (tmp_path / "careless.yaml").write_text(CARELESS)

    def tell(*arguments: str) -> str:
        capsys.readouterr()
        assert run(list(arguments)) == 0
        return capsys.readouterr().out

    tell("apply", str(tmp_path / "careless.yaml"))
    return tell


def test_an_account_whose_server_may_be_anybody_says_so_wherever_it_is_shown(told: Told) -> None:
    created = json.loads(told(*CREATE, *SECRETS, "--output", "json"))
    [listed] = json.loads(told("accounts", "list", "--output", "json"))
    shown = json.loads(told("accounts", "show", "x", "--output", "json"))

    assert [each["host_key"] for each in (created, listed, shown)] == ["insecure"] * 3
    assert [len(each["warnings"]) for each in (created, listed, shown)] == [1, 1, 1]
    assert shown["trusted_host_keys"] == 0
    assert "active, its server may be anybody" in told("accounts", "list")


def test_accounts_are_listed_also_when_another_version_has_applied_their_integration(
    told: Told, tmp_path: Path
) -> None:
    told(*CREATE, *SECRETS)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "tieline.db")) as database, database:
        database.execute("UPDATE definition_versions SET document = '{\"since_next_year\": 1}'")

    [listed] = json.loads(told("accounts", "list", "--output", "json"))

    assert (listed["name"], listed["state"], "host_key" in listed) == ("x", "active", False)

"""`tieline accounts` in this process: what it shows of accounts of SFTP servers."""

import json
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


def test_an_account_whose_server_may_be_anybody_says_so_wherever_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FILES_PASSWORD", "correct horse battery")
    (tmp_path / "careless.yaml").write_text(CARELESS)
    secrets = ("--secret", "username=env:FILES_PASSWORD", "--secret", "password=env:FILES_PASSWORD")

    def told(*arguments: str) -> str:
        capsys.readouterr()
        assert run(list(arguments)) == 0
        return capsys.readouterr().out

    told("apply", str(tmp_path / "careless.yaml"))
    created = json.loads(told("accounts", "create", "x", "--integration", "careless", *secrets, "--output", "json"))
    [listed] = json.loads(told("accounts", "list", "--output", "json"))
    shown = json.loads(told("accounts", "show", "x", "--output", "json"))

    assert [each["host_key"] for each in (created, listed, shown)] == ["insecure"] * 3
    assert [len(each["warnings"]) for each in (created, listed, shown)] == [1, 1, 1]
    assert shown["trusted_host_keys"] == 0
    assert "active, its server may be anybody" in told("accounts", "list")

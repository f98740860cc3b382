"""Names that begin with ~: as they are at the command line, where a shell has replaced what was meant; in settings, of
a home folder."""

import os
from pathlib import Path

import pytest

from cli.arguments import read_file
from cli.errors import CliError
from cli.fetched import check_names, check_place
from cli.files import opened
from cli.secrets import read_secrets
from runtime.settings import SettingsError, load_settings
from runtime.temporal_binary import TemporalServerError, cache_folder

NAMES = pytest.mark.parametrize("name", ["~tilde.txt", "./~tilde.txt", "~$report.docx", "~/a", "~root/a"])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("hello")


@NAMES
def test_a_file_is_read_by_its_name_as_it_is(name: str) -> None:
    written(name)

    with opened(name) as source:
        assert source.read() == b"hello"
    assert read_file("--body", name) == b"hello"
    assert read_secrets([f"password=file:{name}"], ["password"], "files") == {"password": "hello"}


@NAMES
def test_a_file_is_written_by_its_name_as_it_is(name: str) -> None:
    Path(name).parent.mkdir(exist_ok=True)

    check_place(name, many=False, as_json=False)
    check_names(name, ["in/a"])
    Path(name).unlink(missing_ok=True)
    Path(name).mkdir()
    (Path(name) / "a").touch()

    with pytest.raises(CliError, match="a is there already"):
        check_names(name, ["in/a"])


@pytest.mark.parametrize(("name", "advised"), [("~/a", True), ("~a", False), ("b", False)])
def test_what_a_shell_has_not_replaced_is_told(name: str, *, advised: bool) -> None:
    with pytest.raises(CliError, match="cannot be read") as refused:
        read_file("--body", name)
    assert ('write "$HOME" in its place' in str(refused.value)) is advised


def test_no_folder_of_the_name_of_a_home_is_advised() -> None:
    with pytest.raises(CliError, match=r'--to ~/a: the shell left ~ as it is, .* write "\$HOME" instead'):
        check_place("~/a", many=False, as_json=False)


def test_a_setting_that_begins_with_no_home_folder_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_DATA_DIR", "~nobody.of.this.name/data")

    with pytest.raises(SettingsError, match=r"^TIELINE_DATA_DIR: there is no such home folder: write the whole path"):
        load_settings()


def test_a_user_without_a_home_is_asked_for_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", str)  # as it is where neither HOME nor the user's entry says one

    with pytest.raises(TemporalServerError, match="set XDG_CACHE_HOME"):
        cache_folder()

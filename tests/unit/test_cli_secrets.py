import io
from pathlib import Path

import pytest

from cli.errors import CliError
from cli.secrets import ask_for, read_secrets
from net.redaction import LIVE_SECRETS

FIELDS = ("client_id", "client_secret")
OWNER = "integration 'twitter'"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_secret_is_read_from_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWITTER_KEY", "xyzzy-from-environment")

    assert read_secrets(["client_id=env:TWITTER_KEY"], FIELDS, OWNER) == {"client_id": "xyzzy-from-environment"}


def test_a_secret_is_read_from_a_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("xyzzy-from-file\n")

    assert read_secrets([f"client_id=file:{tmp_path / 'secret'}"], FIELDS, OWNER) == {"client_id": "xyzzy-from-file\n"}


def test_a_secret_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"xyzzy-from-input")))

    assert read_secrets(["client_secret=-"], FIELDS, OWNER) == {"client_secret": "xyzzy-from-input"}


def test_what_was_read_is_scrubbed_from_messages_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWITTER_KEY", "xyzzy-scrubbed")
    read_secrets(["client_id=env:TWITTER_KEY"], FIELDS, OWNER)

    assert LIVE_SECRETS.scrub("refused: xyzzy-scrubbed") == "refused: [redacted]"


@pytest.mark.parametrize("argument", ["client_secret=hunter2", "client_secret=vault:hunter2", "client_secret=env:"])
def test_a_plain_value_is_refused_and_not_repeated(argument: str) -> None:
    with pytest.raises(CliError) as raised:
        read_secrets([argument], FIELDS, OWNER)
    message = str(raised.value)
    assert message.startswith("--secret client_secret: a plain value is refused, because the command line stays in")
    assert "replace the secret" in message
    assert "hunter2" not in message


def test_an_argument_without_a_field_is_not_repeated_because_it_may_be_the_secret() -> None:
    with pytest.raises(CliError, match="--secret number 1 has no '='") as raised:
        read_secrets(["hunter2"], FIELDS, OWNER)
    assert "hunter2" not in str(raised.value)


def test_a_misspelt_field_is_told_with_the_one_that_was_meant() -> None:
    with pytest.raises(CliError, match="--secret client_sceret: did you mean client_secret"):
        read_secrets(["client_sceret=-"], FIELDS, OWNER)


def test_a_field_that_resembles_none_is_not_repeated() -> None:
    with pytest.raises(CliError) as raised:
        read_secrets(["aHVudGVyMg=="], FIELDS, OWNER)
    assert str(raised.value) == (
        "--secret number 1 names no secret (integration 'twitter' takes client_id, client_secret)"
    )


def test_a_field_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "xyzzy-a")
    with pytest.raises(CliError, match="--secret client_id is given twice"):
        read_secrets(["client_id=env:A", "client_id=env:A"], FIELDS, OWNER)


def test_standard_input_gives_one_secret_only() -> None:
    with pytest.raises(CliError, match="standard input can give one secret only"):
        read_secrets(["client_id=-", "client_secret=-"], FIELDS, OWNER)


def test_an_unset_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWITTER_KEY", raising=False)
    with pytest.raises(CliError, match="--secret client_id: environment variable TWITTER_KEY is not set"):
        read_secrets(["client_id=env:TWITTER_KEY"], FIELDS, OWNER)


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(CliError, match=r"--secret client_id: /nowhere cannot be read \(No such file or directory\)"):
        read_secrets(["client_id=file:/nowhere"], FIELDS, OWNER)


def test_missing_secrets_are_named_when_nobody_is_there_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CliError) as raised:
        ask_for(FIELDS, OWNER)
    assert "integration 'twitter' needs client_id, client_secret" in str(raised.value)
    assert "--secret client_id=env:VARIABLE --secret client_secret=env:VARIABLE" in str(raised.value)


def test_missing_secrets_are_asked_for_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())

    assert ask_for(FIELDS, OWNER, prompt=lambda field: f"xyzzy-{field}") == {
        "client_id": "xyzzy-client_id",
        "client_secret": "xyzzy-client_secret",
    }

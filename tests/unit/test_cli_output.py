import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from cli.errors import Complaint, Status
from cli.output import Output, Printer, ago, complain, printable
from definitions.refs import CredentialRef

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_control_characters_are_made_visible_at_a_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\n\tc\x9b", Terminal()) == "a\\x1b[2Jb\\x07\n\tc\\x9b"


def test_letters_of_any_script_are_left_alone() -> None:
    assert printable("Zoë 東京 🙂", Terminal()) == "Zoë 東京 🙂"


def test_text_in_a_file_or_pipe_is_left_as_it_is() -> None:
    assert printable("a\x1bb", io.StringIO()) == "a\x1bb"


def test_brackets_in_a_table_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(Output.TABLE).table(("NAME",), [("[red]x[/red]",)], empty="none")

    assert capsys.readouterr().out == "NAME\n[red]x[/red]\n"


def test_a_line_of_a_table_is_never_folded_outside_of_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(Output.TABLE).table(("A", "B"), [("x" * 300, "y")], empty="none")

    assert capsys.readouterr().out.splitlines()[1] == "x" * 300 + "  y"


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(Output.TABLE).table(("NAME",), [], empty="No account yet.")

    assert capsys.readouterr().out == "No account yet.\n"


def test_a_document_is_json_with_times_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(Output.JSON).document({"at": NOW, "ref": CredentialRef(adapter="crm", profile="dev"), "name": "Zoë"})

    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-03-31T12:00:00+00:00",
        "ref": {"adapter": "crm", "profile": "dev", "subject": None},
        "name": "Zoë",
    }


def test_an_error_is_the_json_document_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    complain(Complaint("no such run", Status.BAD_USE, {"run": "run-1"}), as_json=True)

    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {"error": {"message": "no such run", "exit_status": 2, "run": "run-1"}}


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(seconds=-1), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=119), "1h"),
        (timedelta(days=8, hours=5), "8d"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(age: timedelta, told: str) -> None:
    assert ago(NOW - age, NOW) == told

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.arguments import duration, json_value, moment, pairs, parameters, split_path, text_content
from cli.errors import CliError, Status

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def test_a_pair_is_split_at_its_first_equals_sign() -> None:
    assert pairs("--query", ["filter=a=b", "empty="]) == [("filter", "a=b"), ("empty", "")]


def test_names_of_a_query_may_repeat() -> None:
    assert pairs("--query", ["id=1", "id=2"]) == [("id", "1"), ("id", "2")]


@pytest.mark.parametrize("item", ["loose", "=value", ""])
def test_an_argument_that_is_no_pair_is_named_with_its_option(item: str) -> None:
    with pytest.raises(CliError, match=r"--query '.*': expected NAME=VALUE") as raised:
        pairs("--query", [item])
    assert raised.value.status is Status.BAD_USE


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(CliError, match="--param region is given twice"):
        parameters("--param", ["region=eu", "region=us"])


def test_the_query_behind_a_path_is_split_off() -> None:
    assert split_path("/search?q=a%20b&q=c&flag=") == ("/search", [("q", "a b"), ("q", "c"), ("flag", "")])


def test_a_path_without_a_query_stays_as_it_is() -> None:
    assert split_path("/a%2Fb") == ("/a%2Fb", [])


def test_a_value_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "lead.json").write_text('{"name": "Zoë"}')

    assert json_value("--json", f"@{tmp_path / 'lead.json'}") == {"name": "Zoë"}


def test_a_value_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"<a/>")))

    assert text_content("--text", "@-") == "<a/>"


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CliError, match=r"--text: /nowhere/x cannot be read \(No such file or directory\)"):
        text_content("--text", "@/nowhere/x")


def test_bad_json_is_told_by_its_place_and_not_repeated() -> None:
    with pytest.raises(CliError, match=r"--json: not JSON at line 2, column 10: Expecting value") as raised:
        json_value("--json", '{\n  "key": hunter2}')
    assert "hunter2" not in str(raised.value)


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(CliError, match="--json: NaN is not JSON"):
        json_value("--json", "[NaN]")


def test_text_that_is_not_utf_8_is_refused_with_the_option_that_takes_it(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")

    with pytest.raises(CliError, match="byte 3 is not UTF-8; send bytes as they are with --body @FILE"):
        text_content("--text", f"@{tmp_path / 'latin'}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", timedelta(seconds=90)), ("30s", timedelta(seconds=30)), ("24h", timedelta(days=1))],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, expected: timedelta) -> None:
    assert duration("--timeout", text) == expected


def test_a_bad_duration_is_named_with_what_was_expected() -> None:
    with pytest.raises(CliError, match="--timeout 'soon': expected a duration such as 30s, 5m, 24h or 30d"):
        duration("--timeout", "soon")


def test_a_time_may_be_so_long_ago() -> None:
    assert moment("--since", "1h", NOW) == NOW - timedelta(hours=1)


def test_a_time_with_a_zone_is_that_instant() -> None:
    assert moment("--since", "2026-03-31T12:00:00+02:00", NOW) == datetime(2026, 3, 31, 10, 0, tzinfo=UTC)


def test_a_date_begins_at_midnight_of_this_machine() -> None:
    assert moment("--since", "2026-03-31", NOW) == datetime(2026, 3, 31).astimezone()


def test_a_time_that_is_neither_says_what_is_expected() -> None:
    with pytest.raises(CliError, match="--since 'yesterday': expected a time ago such as 90m, 1h or 7d, or a date"):
        moment("--since", "yesterday", NOW)

"""Paths on a server: below the root, whatever fills them."""

import pytest

from definitions.remote_path import RemotePathError, check_remote_path, is_below, render_remote_path


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("../secret", "leave the root"),
        ("inbox/../../secret", "leave the root"),
        ("inbox/..", "leave the root"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("a\x7fb", "control character"),
        ("~root/x", "begin with ~"),
        ("..\\..\\x", "backslash"),
        ("", "is empty"),
        ("{name", "brace|closed|partner|end"),
        ("{now}/x", "differs between attempts"),
        ("{name|uuid2}", "filter"),
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused_when_it_is_declared(path: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        check_remote_path(path)


@pytest.mark.parametrize(
    ("template", "root", "expected"),
    [
        ("inbox/{name}", "/data", "/data/inbox/march.csv"),
        ("/inbox//{name}", "/data/", "/data/inbox/march.csv"),
        ("inbox/", "/data", "/data/inbox/"),
        (".", "/data", "/data"),
        ("inbox/{name}", "", "inbox/march.csv"),
        ("/inbox", "/", "/inbox"),
        ("a..b/c", "/", "/a..b/c"),
    ],
)
def test_a_path_is_put_below_the_root(template: str, root: str, expected: str) -> None:
    assert render_remote_path(template, {"name": "march.csv"}, root) == expected


@pytest.mark.parametrize("value", ["..", ".", "", "a/b", "/etc", "a\nb", "a\0b", "\udcff", "..\\x"])
def test_a_value_is_one_part_of_a_path_and_leads_nowhere_else(value: str) -> None:
    with pytest.raises(RemotePathError, match=r"\{name\}"):
        render_remote_path("inbox/{name}", {"name": value}, "/data")


@pytest.mark.parametrize(
    ("path", "below"), [("/data", True), ("/data/x", True), ("/database", False), ("/", False), ("/etc", False)]
)
def test_what_a_server_resolved_is_below_the_root_or_not(path: str, *, below: bool) -> None:
    assert is_below(path, "/data/") is below


def test_everything_is_below_the_root_of_the_server() -> None:
    assert is_below("/etc", "/")


def test_a_name_that_no_server_takes_is_refused_before_it_is_asked() -> None:
    with pytest.raises(RemotePathError, match="more than 255 bytes"):
        render_remote_path("inbox/" + "ü" * 128, {}, "/data")

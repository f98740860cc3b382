"""Names that must not be used: in listings of servers, and in paths of callers."""

import pytest

from net.sftp_errors import SftpError
from net.sftp_names import encoded, listed


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"../x", "slash"),
        (b"/etc/passwd", "slash"),
        (b"a/../../x", "slash"),
        (b"..", "folder above"),
        (b".", "folder itself"),
        (b"", "empty"),
        (b"a\nb", "control character"),
        (b"a\0b", "control character"),
        (b"a\x1b[2Jb", "control character"),
        ("a\u0085b".encode(), "control character"),
        ("a\u2028b".encode(), "control character"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a" * 256, "longer than 255"),
    ],
)
def test_a_hostile_name_from_a_listing_is_refused(raw: bytes, said: str) -> None:
    _, refused = listed(raw)

    assert refused is not None
    assert said in refused


@pytest.mark.parametrize("name", ["report.csv", "..hidden", "a..b", "ä ö", "a\\b", "…", "a" * 255])
def test_an_unusual_but_harmless_name_is_used_as_it_is(name: str) -> None:
    assert listed(name.encode()) == (name, None)


def test_a_name_that_is_not_utf8_is_shown_in_escapes() -> None:
    name, _ = listed(b"caf\xe9")

    assert name == "caf\\xe9"


@pytest.mark.parametrize("path", ["", "a\0b", "a\nb", "/in/\r\n", "a\x7fb", "\ud800", "a" * 5000])
def test_a_path_that_no_server_should_see_is_refused_before_it_is_sent(path: str) -> None:
    with pytest.raises(SftpError) as refused:
        encoded("remove", path)

    assert refused.value.code == "bad_name"
    assert str(refused.value).isprintable()


def test_a_path_is_sent_as_utf8() -> None:
    assert encoded("stat", "/in/Übersicht.csv") == "/in/Übersicht.csv".encode()

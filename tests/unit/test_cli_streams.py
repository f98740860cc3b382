import io
import sys

import pytest

from cli.output import dumps
from cli.streams import prepare, takes_unicode


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


@pytest.mark.parametrize(("encoding", "whole"), [("utf-8", True), ("UTF8", True), ("ascii", False), ("latin-1", False)])
def test_only_utf_8_takes_every_character(monkeypatch: pytest.MonkeyPatch, encoding: str, whole: bool) -> None:
    monkeypatch.setattr(sys, "stdout", stream(encoding))

    assert takes_unicode() is whole


def test_json_is_escaped_where_the_output_could_not_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream("ascii"))

    assert dumps("Zoë") == '"Zo\\u00eb"'


def test_a_character_that_an_encoding_lacks_is_shown_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = stream("ascii")
    monkeypatch.setattr(sys, "stdout", narrow)

    prepare()
    print("a · b", flush=True)

    assert isinstance(narrow.buffer, io.BytesIO)
    assert narrow.buffer.getvalue() == b"a \\xb7 b\n"


def test_streams_that_were_closed_are_stood_in_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)

    prepare()
    streams = [sys.stdin, sys.stdout, sys.stderr]

    assert streams[0].read() == ""
    for each in streams:
        each.close()

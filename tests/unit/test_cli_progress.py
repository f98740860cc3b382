"""How far a transfer is: for who looks, and for what takes long."""

import io
import sys

import pytest

from cli.progress import WORTH_SHOWING, progress, size_text


class Screen(io.StringIO):
    """What a terminal was told."""

    def isatty(self) -> bool:
        return True


def looked_at(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Standard error from now on; a fixture would set it before pytest sets its own."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return screen


@pytest.mark.parametrize("total", [4 * WORTH_SHOWING, None], ids=["known size", "unknown size"])
def test_a_terminal_shows_name_and_size_as_they_are(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    screen = looked_at(monkeypatch)
    with progress("[red]orders.csv\x1b", total) as advance:
        advance(WORTH_SHOWING)
    assert "[red]orders.csv\\x1b" in screen.getvalue()
    assert "8.0" in screen.getvalue()


def test_what_is_done_in_a_moment_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = looked_at(monkeypatch)
    with progress("orders.csv", WORTH_SHOWING - 1) as advance:
        advance(5)
    assert screen.getvalue() == ""


def test_a_pipe_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with progress("orders.csv", 4 * WORTH_SHOWING) as advance:
        advance(5)
    assert pipe.getvalue() == ""


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**3 // 2, "2.5 GiB"), (1024**5, "1024.0 TiB")],
)
def test_sizes_are_told_in_units_that_fit(size: int, told: str) -> None:
    assert size_text(size) == told

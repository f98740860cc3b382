"""Cursors of listings: what was handed out comes back, also while keys rotate; nothing else does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.keys import Keyring
from gateway.cursor import cursor_of, token_of
from gateway.problems import Problem

OLD, NEW = Keyring("old", {"old": b"1" * 32}), Keyring("new", {"old": b"1" * 32, "new": b"2" * 32})


@given(st.text(), st.binary(min_size=1, max_size=500))
@settings(max_examples=50)
def test_a_token_comes_back_as_it_was(listing: str, token: bytes) -> None:
    assert token_of(OLD, listing, cursor_of(OLD, listing, token) or "") == token


def test_a_cursor_of_before_a_rotation_is_taken() -> None:
    assert token_of(NEW, "runs", cursor_of(OLD, "runs", b"token") or "") == b"token"


def test_a_cursor_of_another_installation_is_refused() -> None:
    with pytest.raises(Problem, match="belongs to no page"):
        token_of(OLD, "runs", cursor_of(NEW, "runs", b"token") or "")


def test_after_the_last_page_there_is_no_cursor() -> None:
    assert cursor_of(OLD, "runs", None) is None

"""What may stand in a request header."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import NetError
from net.headers import RESERVED, check_header


def refusal_of(name: str, value: str) -> str:
    with pytest.raises(NetError) as refused:
        check_header(name, value)
    assert refused.value.code == "invalid_request"
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer abc.def=="),
        ("X-Empty", ""),
        ("x_y.z!#$%&'*+^`|~", "a\tb"),
        ("Accept", "*/*; q=0.5"),
        ("Cookie", "a=b; c=d"),
    ],
)
def test_ordinary_headers_pass(name: str, value: str) -> None:
    check_header(name, value)


@pytest.mark.parametrize(
    "name", ["", "X Y", "X:", "X\r\nY", "X\0", "Ünicode", "X(", "X/", '"X"', "[X]", "X" * 257, " X"]
)
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    assert "a header's name must be" in refusal_of(name, "value")


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\0", "\x0b", "\x1b", "\x7f"])
@pytest.mark.parametrize("place", ["canary{}x", "{}canary", "canary{}"])
def test_a_value_that_would_break_the_request_apart_is_refused_without_repeating_it(character: str, place: str) -> None:
    told = refusal_of("X-Api-Key", place.format(character))
    assert told == "the value of header X-Api-Key holds a line break, NUL or another control character"


@pytest.mark.parametrize("value", ["canaryü", "canary€", "canary\ud800", "canary\u2028", "canary\x85", "canary😀"])
def test_a_value_outside_ascii_is_refused_without_repeating_it(value: str) -> None:
    assert refusal_of("X-Api-Key", value) == "the value of header X-Api-Key holds a character outside ASCII"


@given(st.text(max_size=10), st.text(max_size=20))
def test_what_passes_is_taken_by_the_protocol_as_it_is(name: str, value: str) -> None:
    try:
        check_header(name, value)
    except NetError:
        return
    if name.lower() in RESERVED:
        return
    sent = h11.Connection(h11.CLIENT).send(
        h11.Request(method="GET", target="/", headers=[("Host", "a"), (name, value)])
    )
    assert sent is not None
    assert sent.count(b"\r\n") == 4

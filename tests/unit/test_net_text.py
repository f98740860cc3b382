"""From bytes to text and JSON, whatever an answer's headers claim."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from net.text import MAX_DEPTH, UnusableBody, decode_text, parse_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def fault_of(body: bytes) -> str:
    with pytest.raises(UnusableBody) as refused:
        parse_json(body)
    return str(refused.value)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("ü".encode(), None, "ü"),
        ("ü".encode(), "text/plain", "ü"),
        ("ü".encode(), "application/xml; charset=UTF-8", "ü"),
        ("ü".encode(), 'text/plain; format=flowed; charset="utf8"', "ü"),
        (b"\xfc", "text/plain; charset=ISO-8859-1", "ü"),
        (b"\xfc", "text/plain; CHARSET='latin1'", "ü"),
        (b"\x80", "text/plain;charset=windows-1252", "€"),
        (b"\xfc", "text/html; charset=cp1250", "ü"),
        ("ю".encode("cp1251"), "text/plain; charset=windows-1251", "ю"),
        (b"plain", "text/plain; charset=us-ascii", "plain"),
        (b"\xef\xbb\xbf\xc3\xbc", "text/plain; charset=latin-1", "ü"),
        (b"\xff\xfe\xfc\x00", "text/plain", "ü"),
        (b"\xfe\xff\x00\xfc", "text/plain; charset=utf-16", "ü"),
        (b"\xff\xfe\x00\x00\xfc\x00\x00\x00", "text/plain", "ü"),
        (b"", "text/plain", ""),
        (b"<svg/>", "application/svg+xml", "<svg/>"),
    ],
)
def test_text_is_decoded_by_its_mark_its_charset_or_as_utf_8(body: bytes, content_type: str | None, text: str) -> None:
    assert decode_text(body, content_type) == text


@pytest.mark.parametrize(
    "charset",
    [
        *("utf-7", "rot13", "hex", "zlib", "bz2", "base64", "idna", "punycode", "undefined", "unicode_escape", "mbcs"),
        *("raw_unicode_escape", "utf-16", "utf-32", "uu", "quopri", "cp037", "unknown", "", "../utf-8", "utf-8\0", "é"),
    ],
)
def test_a_charset_outside_the_list_leaves_bytes(charset: str) -> None:
    assert decode_text(b"+ADw-script+AD4-", f"text/plain; charset={charset}") is None


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xff", "text/plain"),
        (b"\xc3", "text/plain; charset=utf-8"),
        (b"\x81", "text/plain; charset=windows-1252"),
        (b"\xfc", "text/plain; charset=ascii"),
        (b"\xed\xa0\x80", "application/json"),
        (b"\xff\xfe\x00\xd8", "text/plain"),
        (b"a\0b", "text/plain"),
        (b"\x89PNG", "image/png"),
        (b"plain", "IMAGE/svg+xml; charset=utf-8"),
        (b"plain", "application/octet-stream"),
        (b"%PDF", "application/pdf"),
    ],
)
def test_damaged_and_binary_bodies_are_no_text(body: bytes, content_type: str) -> None:
    assert decode_text(body, content_type) is None


def test_a_character_cut_in_two_spoils_a_whole_body_but_not_the_beginning_of_one() -> None:
    assert decode_text("aü".encode()[:-1], None) is None
    assert decode_text("aü".encode()[:-1], None, partial=True) == "a"


@given(st.binary(max_size=60), st.none() | st.text(max_size=60) | st.text(max_size=20).map("text/a; charset={}".format))
@example(b"a", "text/plain; charset=" + "x" * 100_000)
def test_any_bytes_under_any_content_type_are_text_that_can_be_stored_or_none(
    body: bytes, content_type: str | None
) -> None:
    text = decode_text(body, content_type)
    assert text is None or "\0" not in text.encode().decode()


@given(JSON)
def test_json_comes_out_as_it_went_in(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_with_a_byte_order_mark_is_read(encoding: str) -> None:
    assert parse_json('{"name": "ü"}'.encode(encoding)) == {"name": "ü"}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"a\udc00b"', "a\ufffdb"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'["\ud83d\ude00\ud83d"]', ["😀\ufffd"]),
        (rb'{"\udfff": 1}', {"\ufffd": 1}),
    ],
)
def test_lone_surrogates_become_the_replacement_character(body: bytes, value: object) -> None:
    assert parse_json(body) == value


@pytest.mark.parametrize(
    "body", [b"NaN", b"[1, NaN]", b'{"a": Infinity}', b"-Infinity", b"1e400", b"[-1e999]", b"9" * 5000]
)
def test_numbers_that_are_none_are_refused(body: bytes) -> None:
    assert "a number that cannot be represented, NaN or Infinity" in fault_of(body)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1_000, 10_000, 200_000])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_json_nested_too_deep_is_refused(begin: bytes, end: bytes, depth: int) -> None:
    assert fault_of(begin * depth + b"1" + end * depth) == "the JSON is nested deeper than 64"


@pytest.mark.parametrize("depth", [10, 10_000, 1_000_000])
def test_json_that_opens_for_ever_is_refused(depth: int) -> None:
    assert fault_of(b"[" * depth)


def test_json_may_be_nested_as_deep_as_the_limit() -> None:
    body = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert json.dumps(parse_json(body)).encode() == body


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"canary", b'{"a": canary}', b"{'a': 1}", b'{"a": 1,}', b"[1] canary", b'"a\nb"', b"<html>"],
)
def test_what_is_no_json_is_refused_without_repeating_it(body: bytes) -> None:
    told = fault_of(body)
    assert told.startswith("the body is not JSON: fault at character ")
    assert "canary" not in told


@pytest.mark.parametrize("body", [b"\xff", b'"\xfc"', b'"\xed\xa0\x80"', b"\0", b"\x1f\x8b\x08"])
def test_bytes_that_are_no_text_are_no_json(body: bytes) -> None:
    assert "it is not text in UTF-8" in fault_of(body)


@given(st.binary(max_size=40) | st.text('[]{}":,\\ud80e019-.nulI fNaty', max_size=30).map(str.encode))
def test_any_bytes_are_json_that_can_be_stored_or_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except UnusableBody:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()

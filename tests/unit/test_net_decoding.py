"""Content codings: undone piece by piece, never past the limit, never silently short."""

import asyncio
import gzip
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.decoding import _STEP, Decoder, TooLargeError, UndecodableError, decoder_for
from tests.fixtures.memory import growth_during

LIMIT = 100_000
MIB = 1024 * 1024


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body, wbits=-zlib.MAX_WBITS)


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "none": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "gzip in members": ("gzip", lambda body: gzip.compress(body[:7]) + gzip.compress(b"") + gzip.compress(body[7:])),
    "gzip with padding": ("gzip", lambda body: gzip.compress(body) + b"\0" * 40),
}


def decode(codings: list[str], coded: bytes, *cuts: int, limit: int = LIMIT) -> bytes:
    decoder = decoder_for(codings, limit)
    parts = [b"".join(decoder.decode(coded[start:end])) for start, end in pairwise([0, *sorted(cuts), len(coded)])]
    decoder.end()
    return b"".join(parts)


def feed(decoder: Decoder, piece: bytes) -> None:
    """Decode a piece and keep nothing of it."""
    for _ in decoder.decode(piece):
        pass


@given(st.sampled_from(list(CODERS)), st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_a_body_comes_out_as_it_went_in_however_it_is_cut(form: str, body: bytes, cuts: list[int]) -> None:
    coding, encode = CODERS[form]
    coded = encode(body)
    assert decode([coding], coded, *(cut % (len(coded) + 1) for cut in cuts)) == body


@pytest.mark.parametrize("codings", [["gzip"], ["GZip"], ["x-gzip"], [" gzip "], ["identity, gzip"], ["", "gzip"]])
def test_codings_are_named_in_any_case_and_identity_counts_for_nothing(codings: list[str]) -> None:
    assert decode(codings, gzip.compress(b"body")) == b"body"


@pytest.mark.parametrize(
    "codings",
    [
        ["br"],
        ["zstd"],
        ["compress"],
        ["gzip, gzip"],
        ["gzip", "gzip"],
        ["gzip, br"],
        ["gzip"] * 30,
        ["x"],
        ["gzip;q=1"],
    ],
)
def test_a_coding_that_was_not_asked_for_is_refused_as_soon_as_there_is_a_body(codings: list[str]) -> None:
    decoder = decoder_for(codings, LIMIT)
    feed(decoder, b"")
    with pytest.raises(UndecodableError):
        feed(decoder, b"x")


@pytest.mark.parametrize("coding", ["br", "gzip", "deflate", "gzip, gzip", "identity"])
def test_no_body_needs_no_decoding(coding: str) -> None:
    assert decode([coding], b"") == b""


@pytest.mark.parametrize("form", [form for form in CODERS if form not in ("none", "gzip with padding")])
@pytest.mark.parametrize("missing", [1, 2, 4, 8])
def test_a_coded_body_that_was_cut_short_is_never_taken_for_whole(form: str, missing: int) -> None:
    coding, encode = CODERS[form]
    with pytest.raises(UndecodableError):
        decode([coding], encode(b"0123456789" * 30)[:-missing])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("coded", [b"plain text", b"\x1f", b"\x1f\x8b", b"\x1f\x8bgarbage garbage", b"x", b"\xff" * 50])
def test_damaged_data_is_refused(coding: str, coded: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode([coding], coded)


def test_a_gzip_body_whose_checksum_is_wrong_is_refused() -> None:
    coded = bytearray(gzip.compress(b"amount: 100"))
    coded[-8] ^= 1
    with pytest.raises(UndecodableError):
        decode(["gzip"], bytes(coded))


@pytest.mark.parametrize("form", CODERS)
def test_the_limit_is_met_to_the_byte(form: str) -> None:
    coding, encode = CODERS[form]
    body = bytes(range(256)) * 4
    assert decode([coding], encode(body), limit=len(body)) == body
    with pytest.raises(TooLargeError):
        decode([coding], encode(body), limit=len(body) - 1)


@pytest.mark.parametrize("form", ["gzip", "zlib"])
def test_coding_that_makes_a_small_body_larger_does_not_make_it_too_large(form: str) -> None:
    coding, encode = CODERS[form]
    assert decode([coding], encode(b"ten bytes!"), limit=10) == b"ten bytes!"


async def test_a_bomb_is_stopped_at_the_limit_before_it_is_in_memory() -> None:
    def decode_it() -> None:
        with pytest.raises(TooLargeError):
            feed(decoder_for(["gzip"], MIB), bomb)

    bomb = gzip.compress(bytes(64 * MIB), 9)
    _, grown = await growth_during(lambda: asyncio.to_thread(decode_it))
    assert grown < 16 * MIB


@pytest.mark.parametrize("endless", [gzip.compress(b"", mtime=0), b"\0"], ids=["gzip", "zeros"])
def test_what_decodes_to_nothing_for_ever_is_stopped_too(endless: bytes) -> None:
    decoder = decoder_for(["gzip"], 10_000)
    feed(decoder, gzip.compress(b"start"))
    with pytest.raises(TooLargeError):
        feed(decoder, endless * (20_000 // len(endless)))


@pytest.mark.parametrize("form", ["gzip", "zlib", "raw deflate", "gzip in members"])
@pytest.mark.parametrize("size", [_STEP - 1, _STEP, _STEP + 1, _STEP + 21, 3 * _STEP])
def test_a_body_of_several_steps_comes_out_whole(form: str, size: int) -> None:
    coding, encode = CODERS[form]
    body = bytes(size)
    coded = encode(body)
    assert decode([coding], coded, limit=size) == body
    assert decode([coding], coded, 1, len(coded) - 1, limit=size) == body

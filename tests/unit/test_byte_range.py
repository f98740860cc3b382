"""Ranges of bytes, as requests ask for them."""

import pytest

from gateway.byte_range import Part, Unsatisfiable, part_of


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", Part(0, 0)),
        ("bytes=2-5", Part(2, 5)),
        ("bytes=2-", Part(2, 9)),
        ("bytes=2-500", Part(2, 9)),
        ("bytes=-3", Part(7, 9)),
        ("bytes=-300", Part(0, 9)),
        ("Bytes=9-9", Part(9, 9)),
    ],
)
def test_one_range_is_understood(header: str, part: Part) -> None:
    assert part_of(header, 10) == part
    assert part_of(header, 10).length == part.end - part.start + 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "header", [None, "", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=0-1x", "bytes=٣-٤"]
)
def test_what_is_no_single_range_is_ignored(header: str | None) -> None:
    assert part_of(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_is_refused(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        part_of(header, size)

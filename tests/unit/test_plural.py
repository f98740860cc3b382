"""Counts as people read them."""

import pytest

from definitions.plural import plural


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (1, "1 byte"), (2_000_000, "2000000 bytes"), (1.0, "1 byte"), (1.5, "1.5 bytes")],
)
def test_one_is_told_in_the_singular_and_all_else_in_the_plural(count: float, told: str) -> None:
    assert plural(count, "byte") == told

"""Counts as people read them."""


def plural(count: float, noun: str) -> str:
    """`1 byte`, `2 bytes`, `0.5 seconds`."""
    return f"{count:{'d' if isinstance(count, int) else 'g'}} {noun}{'' if count == 1 else 's'}"

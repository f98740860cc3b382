"""Files as commands read them."""

import asyncio
import io
import os
import threading
from pathlib import Path

import pytest

from cli.files import opened, pieces


async def test_a_pipe_that_brings_nothing_keeps_nobody_who_is_told_to_end() -> None:
    reading, writing = os.pipe()
    kept = threading.Timer(5, os.close, (writing,))
    kept.start()

    with pytest.raises(TimeoutError), opened(f"/dev/fd/{reading}") as source:
        async with asyncio.timeout(0.02):
            await anext(pieces(source, lambda _: None))

    assert kept.is_alive()
    kept.cancel()
    for descriptor in (reading, writing):
        os.close(descriptor)


async def test_what_a_pipe_brings_bit_by_bit_is_read_in_whole_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.files.PIECE_BYTES", 4)
    reading, writing = os.pipe()
    taken: list[int] = []
    with opened(f"/dev/fd/{reading}") as source:
        found = pieces(source, taken.append)
        first = asyncio.ensure_future(anext(found))
        for part in (b"abc", b"def"):
            os.write(writing, part)
        os.close(writing)
        rest = [await first, *[piece async for piece in found]]
    os.close(reading)

    assert (rest, taken) == ([b"abcd", b"ef"], [4, 2])


async def test_a_terminal_is_asked_no_more_when_it_has_told_its_end() -> None:
    asked: list[int] = []

    class Typed(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            asked.append(len(asked))
            told = b"hello\n" if len(asked) == 1 else b""
            buffer[: len(told)] = told
            return len(told)

    assert [piece async for piece in pieces(Typed(), lambda _: None)] == [b"hello\n"]  # type: ignore[arg-type]
    assert asked == [0, 1]


def test_standard_input_is_read_without_its_buffer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with (tmp_path / "a").open() as typed:
        monkeypatch.setattr("sys.stdin", typed)
        with opened("-") as source:
            assert isinstance(source, io.RawIOBase)

"""Many requests in flight: in order, bounded, and never claimed to be further than they are."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.sftp_errors import SftpError
from net.sftp_pipeline import WriteBehind, check_size, read_ahead
from tests.fixtures.waiting import until

CONTENT = bytes(range(256)) * 40


class Reads:
    """A file that is read; answers come in the order of `turns`, and at most `longest` bytes of them."""

    def __init__(self, content: bytes, *, longest: int | None = None, turns: list[int] | None = None) -> None:
        self.content = content
        self.longest = longest
        self.turns = turns or [0]
        self.asked: list[tuple[int, int]] = []
        self.flying = 0
        self.most = 0

    async def fetch(self, offset: int, size: int) -> bytes:
        self.asked.append((offset, size))
        self.flying += 1
        self.most = max(self.most, self.flying)
        for _ in range(self.turns[len(self.asked) % len(self.turns)]):
            await asyncio.sleep(0)
        self.flying -= 1
        return self.content[offset : offset + min(size, self.longest or size)]


class Writes:
    """A file that is written; `landed` has the order in which the writes were answered."""

    def __init__(self, turns: list[int] | None = None) -> None:
        self.content = bytearray()
        self.turns = turns or [0]
        self.landed: list[int] = []
        self.started = 0
        self.flying = 0
        self.most = 0

    async def send(self, offset: int, data: bytes) -> None:
        self.started += 1
        self.flying += 1
        self.most = max(self.most, self.flying)
        for _ in range(self.turns[self.started % len(self.turns)]):
            await asyncio.sleep(0)
        self.flying -= 1
        self.content[len(self.content) :] = bytes(max(0, offset + len(data) - len(self.content)))
        self.content[offset : offset + len(data)] = data
        self.landed.append(offset)


async def _chunks(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def _read(reads: Reads, start: int = 0, end: int | None = None, *, block: int = 100) -> bytes:
    return b"".join([data async for data in read_ahead(reads.fetch, start, end, block=block, depth=16)])


@settings(max_examples=60)
@given(
    turns=st.lists(st.integers(0, 30), min_size=1, max_size=7),
    longest=st.integers(1, 150),
    size=st.integers(0, 3000),
    start=st.integers(0, 3200),
)
def test_a_file_arrives_whole_and_in_order_however_short_and_shuffled_the_answers_are(
    turns: list[int], longest: int, size: int, start: int
) -> None:
    reads = Reads(CONTENT[:size], longest=longest, turns=turns)

    assert asyncio.run(_read(reads, start)) == CONTENT[:size][start:]


async def test_only_so_many_reads_are_in_flight() -> None:
    reads = Reads(CONTENT, turns=[5])

    await _read(reads)

    assert reads.most == 16


async def test_a_small_file_is_not_asked_for_sixteen_times() -> None:
    reads = Reads(b"small")

    await _read(reads, block=255 * 1024)

    assert len(reads.asked) <= 3


async def test_a_range_asks_for_nothing_outside_it() -> None:
    reads = Reads(CONTENT)

    assert await _read(reads, 150, 430) == CONTENT[150:430]
    assert max(offset + size for offset, size in reads.asked) == 430


async def test_a_reader_that_leaves_takes_its_requests_with_it() -> None:
    reads = Reads(CONTENT, turns=[1000])
    blocks = read_ahead(reads.fetch, 0, None, block=100, depth=16)
    first = asyncio.create_task(anext(blocks))
    await asyncio.sleep(0.01)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert not [task for task in asyncio.all_tasks() if "fetch" in repr(task.get_coro())]


async def test_a_read_that_fails_ends_the_file_there() -> None:
    async def fetch(offset: int, size: int) -> bytes:
        if offset >= 300:
            raise SftpError("connection_lost", "gone")
        return CONTENT[offset : offset + size]

    blocks = read_ahead(fetch, 0, None, block=100, depth=16)
    got = [await anext(blocks) for _ in range(3)]

    with pytest.raises(SftpError, match="gone"):
        await anext(blocks)
    assert b"".join(got) == CONTENT[:300]


def test_an_answer_longer_than_the_question_is_refused() -> None:
    with pytest.raises(SftpError) as refused:
        check_size(b"12345", 4, "server:22")

    assert refused.value.code == "protocol_error"


@settings(max_examples=60)
@given(
    turns=st.lists(st.integers(0, 30), min_size=1, max_size=7),
    chunk=st.integers(1, 400),
    size=st.integers(0, 3000),
    start=st.integers(0, 50),
)
def test_progress_is_what_was_confirmed_without_a_gap_in_whatever_order(
    turns: list[int], chunk: int, size: int, start: int
) -> None:
    writes = Writes(turns)
    marks: list[tuple[int, list[int]]] = []
    pipeline = WriteBehind(
        writes.send, start, block=100, depth=16, on_progress=lambda mark: marks.append((mark, list(writes.landed)))
    )

    end = asyncio.run(pipeline.run(_chunks(CONTENT[:size], chunk)))

    assert end == pipeline.acknowledged == start + size
    assert bytes(writes.content[start:]) == CONTENT[:size]
    for mark, landed in marks:
        assert all(offset in landed for offset in range(start, mark, 100))
    assert [mark for mark, _ in marks] == sorted({mark for mark, _ in marks})


async def test_only_so_many_writes_are_in_flight() -> None:
    writes = Writes([5])

    await WriteBehind(writes.send, 0, block=100, depth=16, on_progress=None).run(_chunks(CONTENT, 100))

    assert writes.most == 16


async def test_nothing_is_sent_far_ahead_of_a_write_that_is_not_answered() -> None:
    """Else a file could have a gap anywhere before its end."""
    answered, furthest = asyncio.Event(), 0

    async def send(offset: int, data: bytes) -> None:
        nonlocal furthest
        furthest = max(furthest, offset + len(data))
        if offset == 200:
            await answered.wait()

    pipeline = WriteBehind(send, 0, block=100, depth=4, on_progress=None)
    running = asyncio.create_task(pipeline.run(_chunks(CONTENT[:3000], 100)))
    await until(lambda: furthest == 600)
    done, _ = await asyncio.wait([running], timeout=0.02)
    ahead = furthest
    answered.set()

    assert await running == 3000
    assert (done, ahead) == (set(), 600)


async def test_a_write_that_fails_ends_the_transfer_although_the_source_says_nothing_more() -> None:
    silent = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield CONTENT[:250]
        await silent.wait()

    async def send(offset: int, data: bytes) -> None:
        await asyncio.sleep(0)
        if offset == 100:
            raise SftpError("no_space", "full")

    pipeline = WriteBehind(send, 0, block=100, depth=16, on_progress=None)
    with pytest.raises(SftpError, match="full"):
        await asyncio.wait_for(pipeline.run(source()), 5)

    assert pipeline.acknowledged == 100


async def test_a_source_that_fails_is_not_taken_for_the_server() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield CONTENT[:250]
        raise TimeoutError("the source")

    with pytest.raises(TimeoutError, match="the source"):
        await WriteBehind(Writes().send, 0, block=100, depth=16, on_progress=None).run(source())


async def test_whoever_follows_the_progress_may_stop_the_transfer() -> None:
    def too_far(mark: int) -> None:
        raise RuntimeError(f"stop at {mark}")

    with pytest.raises(RuntimeError, match="stop at"):
        await WriteBehind(Writes().send, 0, block=100, depth=16, on_progress=too_far).run(_chunks(CONTENT, 100))

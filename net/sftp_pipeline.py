"""Many requests in flight for one file: one at a time, a round trip of 40 ms makes 5 MB/s out of any line.

Both directions hold at most `depth` blocks in memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from net.sftp_errors import SftpError

T = TypeVar("T")
Fetch = Callable[[int, int], Coroutine[Any, Any, bytes]]
"""Offset and size to bytes; fewer than asked for in the middle of a file are allowed, none mean the end."""
Send = Callable[[int, bytes], Coroutine[Any, Any, None]]
Progress = Callable[[int], None]

FIRST_DEPTH = 2
"""Of reads: a small file is answered by one, and the end of it by the next."""


async def read_ahead(
    fetch: Fetch, start: int, end: int | None, *, block: int, depth: int
) -> AsyncGenerator[bytes, None]:
    """The bytes from `start` to `end` or the end of the file, in order, whatever the order of the answers."""
    pending: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()
    position, allowed = start, FIRST_DEPTH
    try:
        while True:
            while len(pending) < allowed and (end is None or position < end):
                size = block if end is None else min(block, end - position)
                pending.append((position, size, _task(fetch(position, size))))
                position += size
            if not pending:
                return
            offset, size, task = pending.popleft()
            data = await task
            if not data:
                return
            if len(data) < size:
                rest = offset + len(data), size - len(data)
                pending.appendleft((*rest, _task(fetch(*rest))))
            else:
                allowed = min(depth, allowed + 2)
            yield data
    finally:
        _abandon(task for _, _, task in pending)


class WriteBehind:
    """Writes in flight by offset. `acknowledged` is how far the file is surely there without a gap.

    What is sent is never further ahead of that than `depth` blocks, also when a server answers in another order: behind
    a gap there is no more than that.
    """

    def __init__(self, send: Send, start: int, *, block: int, depth: int, on_progress: Progress | None) -> None:
        self.acknowledged = start
        self._send = send
        self._block = block
        self._next = start
        self._depth = depth
        self._on_progress = on_progress
        self._flying: deque[tuple[int, asyncio.Task[None]]] = deque()
        self._failure: BaseException | None = None
        self._interrupt: asyncio.Timeout | None = None
        self._landed = asyncio.Event()

    async def run(self, chunks: AsyncIterator[bytes]) -> int:
        """Write all of it; the offset behind the last byte.

        Raises:
            SftpError: the first write that failed, as soon as it failed, even while the next chunk is awaited.
        """
        try:
            await self._write_all(chunks)
            await self._until_fewer_than(1)
        finally:
            self._on_progress = None
            _abandon(task for _, task in self._flying)
        return self._next

    async def _write_all(self, chunks: AsyncIterator[bytes]) -> None:
        buffer = bytearray()
        while (chunk := await self._chunk(chunks)) is not None:
            buffer += chunk
            while len(buffer) >= self._block:
                await self._launch(bytes(memoryview(buffer)[: self._block]))
                del buffer[: self._block]
        if buffer:
            await self._launch(bytes(buffer))

    async def _chunk(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(None) as self._interrupt:
                self._raise_failure()
                return await anext(chunks, None)
        except TimeoutError:
            self._raise_failure()
            raise
        finally:
            self._interrupt = None

    async def _launch(self, data: bytes) -> None:
        await self._until_fewer_than(self._depth)
        task = _task(self._send(self._next, data))
        self._next += len(data)
        self._flying.append((self._next, task))
        task.add_done_callback(self._done)

    async def _until_fewer_than(self, count: int) -> None:
        """Of those since the oldest that is not answered."""
        self._raise_failure()
        while len(self._flying) >= count:
            self._landed.clear()
            await self._landed.wait()
            self._raise_failure()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._landed.set()
        if task.cancelled():
            return
        try:
            if (error := task.exception()) is not None:
                raise error
            self._advance()
        except Exception as error:
            self._failure = self._failure or error
            if self._interrupt is not None and not self._interrupt.expired():
                self._interrupt.reschedule(0)

    def _advance(self) -> None:
        before = self.acknowledged
        while self._flying and _succeeded(self._flying[0][1]):
            self.acknowledged, _ = self._flying.popleft()
        if self._on_progress is not None and self.acknowledged > before:
            self._on_progress(self.acknowledged)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def check_size(data: bytes, asked: int, place: str) -> bytes:
    """What a read returned.

    Raises:
        SftpError: `protocol_error`: more than was asked for.
    """
    if len(data) > asked:
        raise SftpError("protocol_error", f"{place} answered a read with more than was asked for")
    return data


def _task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.get_running_loop().create_task(work)


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _abandon(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Nobody waits for these any more: neither for their results nor for their errors."""
    for task in tasks:
        task.add_done_callback(_look_away)
        task.cancel()


def _look_away(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()

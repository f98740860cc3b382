"""Bytes that come piece by piece."""

import hashlib
from collections import deque
from collections.abc import AsyncIterator


class SentHash:
    """SHA-256 of what was sent: of all, or as far as the server has acknowledged it."""

    def __init__(self, start: int) -> None:
        self._at = start
        self._digest = hashlib.sha256()
        self._waiting: deque[bytes] = deque()

    async def told(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks. They are kept until they are hashed."""
        async for chunk in chunks:
            self._waiting.append(chunk)
            yield chunk

    def upto(self, offset: int) -> str:
        """Of the bytes before `offset`; it never goes back."""
        while self._waiting and self._at < offset:
            chunk = self._waiting.popleft()
            if len(chunk) > offset - self._at:
                self._waiting.appendleft(chunk[offset - self._at :])
                chunk = chunk[: offset - self._at]
            self._digest.update(chunk)
            self._at += len(chunk)
        return self._digest.hexdigest()


async def hashed(chunks: AsyncIterator[bytes], digest: "hashlib._Hash") -> AsyncIterator[bytes]:
    """The same, told to the digest on the way."""
    async for chunk in chunks:
        digest.update(chunk)
        yield chunk


async def split(chunks: AsyncIterator[bytes], length: int) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first so many bytes, and what follows them."""
    head = bytearray()
    while len(head) < length:
        try:
            head += await anext(chunks)
        except StopAsyncIteration:
            break
    return bytes(head[:length]), _joined(bytes(head[length:]), chunks)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk

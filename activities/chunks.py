"""Bytes that come piece by piece."""

import hashlib
from collections.abc import AsyncIterator


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

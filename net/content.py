"""A request's body that is read while it is sent: opened anew for every sending, and watched while it moves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from net.errors import NetError
from net.messages import OutboundRequest, StreamedContent


class Sending:
    """One sending of a streamed body. Its first piece is read before anything leaves: a source that cannot be read
    costs the provider no request.

    Every piece that is asked for is a sign that the one before was taken, and moves `limit` by the stall limit; the end
    moves it by the deadline, for the answer.
    """

    def __init__(self, content: StreamedContent, request: OutboundRequest, limit: asyncio.Timeout) -> None:
        self.size = content.size
        self._content = content
        self._request = request
        self._limit = limit
        self._ends = asyncio.get_running_loop().time() + request.overall
        self._begun: AsyncIterator[bytes] | None = None
        self._first: bytes | None = None

    async def begin(self) -> None:
        """Raises NetError `content_failed`."""
        self._wait(self._request.deadline)
        self._begun = self._content.open()
        self._first = await self._next(self._begun)

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        """Again from its first byte where the pool found that the provider never took the request (RFC 9113 §6.8)."""
        source, piece = self._begun, self._first
        self._begun = self._first = None
        if source is None:
            source = self._content.open()
            piece = await self._next(source)
        left = self.size
        try:
            while piece is not None:
                self._wait(self._request.stall)
                left = None if left is None else left - len(piece)
                # What completes the announced length is held back until the source has ended, too.
                over = left is not None and (left < 0 or (left == 0 and await self._next(source) is not None))
                if over:
                    raise self._of_another_length("longer")
                yield piece
                piece = None if left == 0 else await self._next(source)
            if left:
                raise self._of_another_length("shorter")
            self._wait(self._request.deadline)
        finally:
            await close_source(source)

    async def aclose(self) -> None:
        """Close what was opened and not sent."""
        if self._begun is not None:
            await close_source(self._begun)
            self._begun = None

    async def _next(self, source: AsyncIterator[bytes]) -> bytes | None:
        """The next piece that is not empty, None at the end."""
        try:
            while (piece := await anext(source, None)) == b"":
                pass
            return piece
        except Exception as error:
            message = f"the content to send could not be read ({type(error).__name__})"
            raise NetError("content_failed", message, reason=error) from None

    def _of_another_length(self, kind: str) -> NetError:
        """It would be taken for whole, or what is left over for the head of the next request."""
        return NetError(
            "content_failed", f"the content to send is {kind} than the {self.size} bytes that were announced"
        )

    def _wait(self, seconds: float) -> None:
        self._limit.reschedule(min(asyncio.get_running_loop().time() + seconds, self._ends))


async def close_source(source: AsyncIterator[bytes]) -> None:
    """What was left off, at once: a file or a connection may stand behind it."""
    if isinstance(source, AsyncGenerator):
        await source.aclose()

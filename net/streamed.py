"""An answer that is read as its reader wishes: whole, whole if it is small, or part by part."""

import asyncio

from net.errors import NetError
from net.exchange import Exchange
from net.messages import HttpReply, OutboundRequest, SendTrace, first_header


class StreamedReply:
    """An answer whose head has come. Its errors are NetErrors.

    `size` in bytes, None when nothing is known of it. `until`: when it must have been read whole, on the loop's clock;
    `ends`: the same for reading part by part.
    """

    def __init__(
        self,
        exchange: Exchange,
        request: OutboundRequest,
        trace: SendTrace,
        place: str,
        until: float | None,
        ends: float,
    ) -> None:
        reading = exchange.reading
        self.status = reading.status
        self.headers = reading.headers
        self.size = reading.announced
        self.done = reading.done
        self.url = reading.url
        self._exchange = exchange
        self._request = request
        self._trace = trace
        self._place = place
        self._until = until
        self._ends = ends

    def header(self, name: str) -> str | None:
        """The first value of this header, by name without regard to case."""
        return first_header(self.headers, name)

    @property
    def delimited(self) -> bool:
        """As `HttpReply.delimited`, of what was read until now."""
        return self._exchange.reading.delimited

    @property
    def body(self) -> "StreamedReply":
        """The decoded body, part by part, up to `max_streamed`: for one reader, once."""
        return self

    async def whole(self) -> HttpReply:
        """As `GuardedClient.send` returns it."""
        try:
            async with asyncio.timeout_at(self._until):
                return await self._exchange.whole(self._request.max_bytes)
        except NetError as error:
            raise error.at(self._place) from None
        except TimeoutError:
            raise late(self._request, self._trace).at(self._place) from None

    async def whole_if_small(self) -> HttpReply | None:
        """The same; None when the body is larger than `max_bytes`: it is then to be read part by part."""
        try:
            async with asyncio.timeout_at(self._until):
                return await self._exchange.whole_if_small(self._request.max_bytes, self._request.max_streamed)
        except NetError as error:
            raise error.at(self._place) from None
        except TimeoutError:
            raise late(self._request, self._trace).at(self._place) from None

    def __aiter__(self) -> "StreamedReply":
        return self

    async def __anext__(self) -> bytes:
        """Only waiting for the provider counts as standing still: what its reader does with a part does not."""
        request = self._request
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + request.stall, self._ends)):
                part = await self._exchange.part(request.max_streamed)
        except NetError as error:
            raise error.at(self._place) from None
        except TimeoutError:
            raise stalled(request, self._trace, over=now + request.stall > self._ends).at(self._place) from None
        if part is None:
            raise StopAsyncIteration
        return part


def late(request: OutboundRequest, trace: SendTrace) -> NetError:
    """What it means that an answer did not come in time."""
    if isinstance(request.content, bytes):
        return NetError("timeout", f"no complete answer within {request.deadline:g} s", sent=trace.sent)
    message = f"sending stood still for {request.stall:g} s, or no answer came within {request.deadline:g} s after it"
    return NetError("timeout", f"{message}, or all took more than {request.overall:g} s", sent=trace.sent)


def stalled(request: OutboundRequest, trace: SendTrace, *, over: bool) -> NetError:
    """What it means that a body stood still, or is `over` its time."""
    if over:
        return NetError("timeout", f"the answer was not complete within {request.overall:g} s", sent=trace.sent)
    return NetError("timeout", f"nothing more of the answer came for {request.stall:g} s", sent=trace.sent)

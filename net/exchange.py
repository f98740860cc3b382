"""One request that was sent, and its answer while it is read: holds the connection until it is closed."""

import httpcore2

from net.faults import net_error
from net.messages import HttpReply
from net.pools import Pool, Pools
from net.reading import Reading
from net.redirects import Hop
from net.watch import Watch


class Exchange:
    """Reading it whole closes it; who reads part by part closes it when done. Its errors are NetErrors."""

    def __init__(self, pools: Pools, pool: Pool, watch: Watch) -> None:
        self._pools = pools
        self._pool = pool
        self._watch = watch
        self._response: httpcore2.Response | None = None
        self._reading: Reading | None = None
        self._whole: HttpReply | None = None
        self._given = False
        self._closed = False

    @property
    def reading(self) -> Reading:
        """The answer, once it has begun."""
        assert self._reading is not None, "the answer has not begun"
        return self._reading

    async def begin(self, request: httpcore2.Request, hop: Hop, started: float) -> None:
        """Send the request and wait for the head of its answer; when that fails it is closed."""
        try:
            self._response = await self._pool.connections.handle_async_request(request)
            self._reading = Reading(self._response, hop, started)
        except BaseException as error:
            await self.aclose()
            if isinstance(error, Exception):
                raise net_error(error, self._watch) from None
            raise

    async def whole(self, max_bytes: int) -> HttpReply:
        """The whole reply, as often as it is asked for."""
        if self._whole is None:
            try:
                try:
                    self._whole = await self.reading.whole(max_bytes)
                finally:
                    await self.aclose()
            except Exception as error:
                raise net_error(error, self._watch) from None
        return self._whole

    async def whole_if_small(self, max_bytes: int, cap: int) -> HttpReply | None:
        """The whole reply, or None when it is larger and to be had by `part`."""
        if self._whole is None:
            try:
                self._whole = await self.reading.whole_if_small(max_bytes, cap)
            except Exception as error:
                raise net_error(error, self._watch) from None
        return self._whole

    async def part(self, cap: int) -> bytes | None:
        """The next part of the body, decoded; None at its end."""
        if self._whole is not None:
            given, self._given = self._given, True
            return None if given else self._whole.body or None
        try:
            return await self.reading.part(cap)
        except Exception as error:
            raise net_error(error, self._watch) from None

    async def aclose(self) -> None:
        """Give the connection back, to be used again when the answer was read to its end."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._reading is not None:
                await self._reading.aclose()
            if self._response is not None:
                await self._response.aclose()
        finally:
            complete = self._reading is not None and self._reading.ended
            self._pools.release(self._pool, multiplexed=self._watch.multiplexed, complete=complete)

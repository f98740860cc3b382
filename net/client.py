"""The only way out over HTTP: policy at dial time, one deadline, bounded bodies; no cookies and no retries."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator

import httpcore2

from net.addresses import read_address
from net.content import Sending
from net.decoding import ACCEPT_ENCODING
from net.egress import EgressPolicy
from net.errors import NetError, Sent
from net.exchange import Exchange
from net.headers import RESERVED, check_header
from net.messages import HttpReply, OutboundRequest, SendTrace
from net.pools import Pools
from net.proxy import read_proxy
from net.redirects import MAX_REDIRECTS, REDIRECTS, Hop, next_hop
from net.resolver import Resolve, SystemResolver
from net.streamed import StreamedReply, late
from net.targets import Target, parse_target
from net.watch import Watch

POOL_TIMEOUT = 10.0
CONNECT_TIMEOUT = 10.0
USER_AGENT = "tieline"

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_TIMEOUTS = {"pool": POOL_TIMEOUT, "connect": CONNECT_TIMEOUT}
_WITHOUT_LENGTH = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
"""Methods for which an absent body needs no Content-Length (RFC 9110 §8.6)."""


class GuardedClient:
    """Sends requests over pooled connections to wherever the egress policy allows.

    Environment variables for proxies are ignored. With an explicit `proxy` (`http://` or `https://`, credentials in the
    URL) names are looked up there, so the policy can check the proxy's own address only, besides the ports of targets
    and those that are addresses themselves: what the proxy may reach is then the proxy's own matter.
    """

    def __init__(
        self, policy: EgressPolicy, *, proxy: str | None = None, http2: bool = True, resolver: Resolve | None = None
    ) -> None:
        self._policy = policy
        self._own_resolver = SystemResolver() if resolver is None else None
        self._proxied = proxy is not None
        resolve = resolver or self._own_resolver
        assert resolve is not None
        self._pools = Pools(policy, resolve, http2=http2, proxy=read_proxy(proxy) if proxy else None)

    async def send(self, request: OutboundRequest, *, trace: SendTrace | None = None) -> HttpReply:
        """Send once, follow redirects within the rules of `net.redirects`, and read the whole answer.

        `trace` tells, also after a cancellation, whether the provider can have acted on the request.

        Raises:
            NetError: no usable reply. Nothing else is raised, but `asyncio.CancelledError` passes through.
        """
        trace = trace or SendTrace()
        place = _Place(request)
        try:
            async with asyncio.timeout(request.deadline) as limit:
                exchange = await self._follow(_first_hop(request, place.find()), request, trace, limit)
                return await exchange.whole(request.max_bytes)
        except NetError as error:
            raise error.at(place.text) from None
        except TimeoutError:
            raise late(request, trace).at(place.text) from None

    @contextlib.asynccontextmanager
    async def stream(
        self, request: OutboundRequest, *, trace: SendTrace | None = None
    ) -> AsyncGenerator[StreamedReply]:
        """The same, but the answer is read inside the block, whole or part by part; leaving it closes the answer.

        Raises:
            NetError: as `send`, also out of the reply; what else the block raises passes through.
        """
        trace = trace or SendTrace()
        place = _Place(request)
        ends = asyncio.get_running_loop().time() + request.overall
        try:
            async with asyncio.timeout(request.deadline) as limit:
                exchange = await self._follow(_first_hop(request, place.find()), request, trace, limit)
        except NetError as error:
            raise error.at(place.text) from None
        except TimeoutError:
            raise late(request, trace).at(place.text) from None
        try:
            yield StreamedReply(exchange, request, trace, place.text, limit.when(), ends)
        finally:
            await exchange.aclose()

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        await self._pools.aclose()
        if self._own_resolver is not None:
            self._own_resolver.close()

    async def _follow(self, hop: Hop, request: OutboundRequest, trace: SendTrace, limit: asyncio.Timeout) -> Exchange:
        """The exchange whose answer is the answer; its body is unread, but for a redirect that is not followed."""
        started = time.monotonic()
        for _ in range(MAX_REDIRECTS + 1):
            exchange = await self._exchange(hop, request, Watch(trace, done=hop.done), started, limit)
            if exchange.reading.status not in REDIRECTS:
                return exchange
            following = next_hop(hop, await exchange.whole(request.max_bytes), request)
            if following is None:
                return exchange
            hop = following
        raise NetError("too_many_redirects", f"more than {MAX_REDIRECTS} redirects", sent=Sent.ANSWERED)

    async def _exchange(
        self, hop: Hop, request: OutboundRequest, watch: Watch, started: float, limit: asyncio.Timeout
    ) -> Exchange:
        if self._proxied:
            self._check_behind_proxy(hop.target, request.ports)
        if isinstance(hop.content, bytes):
            return await self._begin(hop, hop.content, request, watch, started)
        sending = Sending(hop.content, request, limit)
        try:
            await sending.begin()
            return await self._begin(hop, sending, request, watch, started)
        finally:
            await sending.aclose()

    async def _begin(
        self, hop: Hop, content: bytes | Sending, request: OutboundRequest, watch: Watch, started: float
    ) -> Exchange:
        plain = request.plain or not isinstance(content, bytes)
        pool = self._pools.acquire(hop.target, hop.tls, request.ports, plain=plain)
        exchange = Exchange(self._pools, pool, watch)
        await exchange.begin(_core_request(hop, content, request, watch), hop, started)
        return exchange

    def _check_behind_proxy(self, target: Target, ports: frozenset[int]) -> None:
        address = read_address(target.host)
        if address is None:
            self._policy.check_port(target.host, target.port, ports=ports)
        else:
            self._policy.check(target.host, [address], target.port, ports=ports)


def _first_hop(request: OutboundRequest, target: Target) -> Hop:
    if not _METHOD.fullmatch(request.method) or request.method == "CONNECT":
        raise NetError("invalid_request", "the method must be one of RFC 9110's, or PATCH, in capitals")
    for name, value in request.headers:
        check_header(name, value)
        if name.lower() in RESERVED:
            raise NetError("invalid_request", f"header {name} is set by the client and cannot be set by a request")
    return Hop(request.method, target, request.headers, request.content, request.tls)


class _Place:
    """Where something went wrong, as far as it is known."""

    def __init__(self, request: OutboundRequest) -> None:
        self._url = request.url
        self.text = request.method if _METHOD.fullmatch(request.method) else "request"

    def find(self) -> Target:
        target = parse_target(self._url)
        self.text = f"{self.text} {target}"
        return target


def _core_request(hop: Hop, content: bytes | Sending, request: OutboundRequest, watch: Watch) -> httpcore2.Request:
    target = hop.target
    coding = b"identity" if request.plain else ACCEPT_ENCODING
    headers = [(b"Host", target.authority.encode("ascii")), (b"Accept-Encoding", coding)]
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in hop.headers]
    names = {name.lower() for name, _ in hop.headers}
    if "accept" not in names:
        headers.append((b"Accept", b"*/*"))
    if "user-agent" not in names:
        headers.append((b"User-Agent", USER_AGENT.encode()))
    if content or hop.method not in _WITHOUT_LENGTH:
        headers.append(_framing(content))
    return httpcore2.Request(
        hop.method,
        httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
        headers=headers,
        content=content,
        extensions={"timeout": _TIMEOUTS, "trace": watch},
    )


def _framing(content: bytes | Sending) -> tuple[bytes, bytes]:
    size = len(content) if isinstance(content, bytes) else content.size
    return (b"Transfer-Encoding", b"chunked") if size is None else (b"Content-Length", b"%d" % size)

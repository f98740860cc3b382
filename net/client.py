"""The only way out over HTTP: policy at dial time, one deadline, bounded bodies; no cookies and no retries."""

import asyncio
import re
import time

import httpcore2

from net.addresses import read_address
from net.decoding import ACCEPT_ENCODING
from net.egress import EgressPolicy
from net.errors import NetError, Sent
from net.faults import net_error
from net.headers import RESERVED, check_header
from net.messages import HttpReply, OutboundRequest, SendTrace
from net.pools import Pools
from net.proxy import read_proxy
from net.reading import read_reply
from net.redirects import MAX_REDIRECTS, Hop, next_hop
from net.resolver import Resolve, SystemResolver
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
        place = request.method if _METHOD.fullmatch(request.method) else "request"
        try:
            target = parse_target(request.url)
            place = f"{place} {target}"
            async with asyncio.timeout(request.deadline):
                return await self._follow(_first_hop(request, target), request, trace)
        except NetError as error:
            raise NetError(error.code, f"{place}: {error}", sent=error.sent, status=error.status) from None
        except TimeoutError:
            late = f"{place}: no complete answer within {request.deadline:g} s"
            raise NetError("timeout", late, sent=trace.sent) from None

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        await self._pools.aclose()
        if self._own_resolver is not None:
            self._own_resolver.close()

    async def _follow(self, hop: Hop, request: OutboundRequest, trace: SendTrace) -> HttpReply:
        started = time.monotonic()
        for _ in range(MAX_REDIRECTS + 1):
            watch = Watch(trace, done=hop.done)
            reply = await self._exchange(hop, request, watch, started)
            following = next_hop(hop, reply, request)
            if following is None:
                return reply
            hop = following
        raise NetError("too_many_redirects", f"more than {MAX_REDIRECTS} redirects", sent=Sent.ANSWERED)

    async def _exchange(self, hop: Hop, request: OutboundRequest, watch: Watch, started: float) -> HttpReply:
        if self._proxied:
            self._check_behind_proxy(hop.target, request.ports)
        pool = self._pools.acquire(hop.target, hop.tls, request.ports)
        complete = False
        try:
            response = await pool.connections.handle_async_request(_core_request(hop, watch))
            try:
                reply = await read_reply(response, hop, request.max_bytes, started)
            finally:
                await response.aclose()
            complete = True
        except Exception as error:
            raise net_error(error, watch) from None
        finally:
            self._pools.release(pool, multiplexed=watch.multiplexed, complete=complete)
        return reply

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


def _core_request(hop: Hop, watch: Watch) -> httpcore2.Request:
    target = hop.target
    headers = [(b"Host", target.authority.encode("ascii")), (b"Accept-Encoding", ACCEPT_ENCODING.encode())]
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in hop.headers]
    names = {name.lower() for name, _ in hop.headers}
    if "accept" not in names:
        headers.append((b"Accept", b"*/*"))
    if "user-agent" not in names:
        headers.append((b"User-Agent", USER_AGENT.encode()))
    if hop.content or hop.method not in _WITHOUT_LENGTH:
        headers.append((b"Content-Length", b"%d" % len(hop.content)))
    return httpcore2.Request(
        hop.method,
        httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
        headers=headers,
        content=hop.content,
        extensions={"timeout": _TIMEOUTS, "trace": watch},
    )

"""Connections kept between calls: one pool per origin and TLS options.

A pool walks all its connections on every request, so small pools are quick, and a provider that answers slowly uses up
its own pool only.
"""

import asyncio
import ssl
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import httpcore2

from net.dialing import GuardedBackend
from net.egress import OPEN_PORTS, EgressPolicy
from net.messages import TlsOptions
from net.resolver import Resolve
from net.targets import Target
from net.tls import ssl_context

MAX_CONNECTIONS = 100
"""Per origin."""
KEEPALIVE_EXPIRY = 4.0
"""Seconds. Many servers close idle connections after five: a request that meets that moment has an unknown outcome."""
MAX_CONTEXTS = 64

Key = tuple[TlsOptions | None, str, str, int, bool, bool]


@dataclass(slots=True, eq=False)
class Pool:
    """A connection pool and how many calls it carries."""

    key: Key
    connections: httpcore2.AsyncConnectionPool
    backend: GuardedBackend
    active: int = 0
    used_at: float = field(default_factory=time.monotonic)
    multiplexed: bool = False
    retired: bool = False

    def was_left(self) -> bool:
        """Has the server closed what is idle here? Over HTTP/2 the transport finds out by sending it a request."""
        return self.multiplexed and self.active == 0 and self.backend.has_hung_up()


class Pools:
    """Makes pools when they are first needed and closes them when they have been idle for some seconds."""

    def __init__(
        self, policy: EgressPolicy, resolve: Resolve, *, http2: bool, proxy: httpcore2.Proxy | None = None
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._http2 = http2
        self._proxy = proxy
        self._pools: dict[Key, Pool] = {}
        self._contexts: OrderedDict[TlsOptions | None, ssl.SSLContext] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def acquire(self, target: Target, tls: TlsOptions | None, ports: frozenset[int], *, plain: bool) -> Pool:
        """The pool for a call; to be given back with `release`.

        A connection on an unusual port is shared only among calls that may all use that port; over a `plain` one only
        HTTP/1.1 is spoken.
        """
        key = (tls, *target.origin, target.port in OPEN_PORTS or target.port in ports, plain)
        pool = self._pools.get(key)
        if pool is not None and pool.was_left():
            self._close(self._pools.pop(key))
            pool = None
        if pool is None:
            pool = self._pools[key] = self._open(key)
        pool.active += 1
        return pool

    def release(self, pool: Pool, *, multiplexed: bool, complete: bool) -> None:
        """Give a pool back after a call, which went over HTTP/2 (`multiplexed`) or not, and came to its end or not.

        An HTTP/2 stream that was given up goes on filling the connection's flow-control window and counting against
        its streams (the transport sends no RST_STREAM), until the connection can carry nothing. So its pool is not
        used again, and closed when the calls under way have ended.
        """
        pool.active -= 1
        pool.used_at = time.monotonic()
        pool.multiplexed |= multiplexed
        if multiplexed and not complete and not pool.retired:
            pool.retired = True
            if self._pools.get(pool.key) is pool:
                del self._pools[pool.key]
        if pool.retired and pool.active == 0:
            self._close(pool)
        elif self._sweeper is None:
            self._sweep_later()

    async def aclose(self) -> None:
        """Close everything; calls under way fail."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for pool in list(self._pools.values()):
            self._close(pool)
        self._pools.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _open(self, key: Key) -> Pool:
        tls, scheme, _, port, open_port, plain = key
        ports = frozenset({port}) if open_port else frozenset[int]()
        if self._proxy is not None:
            ports = frozenset({self._proxy.url.origin.port})
        backend = GuardedBackend(self._policy, self._resolve, ports)
        connections = httpcore2.AsyncConnectionPool(
            ssl_context=self._context(tls) if scheme == "https" else None,
            proxy=self._proxy,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_EXPIRY,
            http2=self._http2 and not plain,
            network_backend=backend,
        )
        return Pool(key, connections, backend)

    def _context(self, tls: TlsOptions | None) -> ssl.SSLContext:
        context = self._contexts.get(tls)
        if context is None:
            context = self._contexts[tls] = ssl_context(tls)
            if len(self._contexts) > MAX_CONTEXTS:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(tls)
        return context

    def _close(self, pool: Pool) -> None:
        task = asyncio.get_running_loop().create_task(pool.connections.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(KEEPALIVE_EXPIRY, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        before = time.monotonic() - KEEPALIVE_EXPIRY
        for pool in [each for each in self._pools.values() if each.active == 0 and each.used_at <= before]:
            del self._pools[pool.key]
            self._close(pool)
        if self._pools:
            self._sweep_later()

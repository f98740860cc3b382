"""Where connections are opened: look up, ask the policy about every address, connect to an address that it allows.

Because the address that was checked is the address that is dialled, a name that changes its answer in between gains
nothing; because only the TCP target is replaced, TLS still verifies the name.
"""

from collections.abc import Iterable, Sequence
from weakref import WeakSet

from httpcore2 import SOCKET_OPTION, AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout

from net.addresses import IPAddress, read_address
from net.egress import EgressPolicy
from net.errors import NetError
from net.resolver import Resolve
from net.stream import QuickStream

CONNECT_TIMEOUT = 10.0
ATTEMPT_TIMEOUT = 3.0
"""For every address but the last: one that swallows packets must not use up the time of the others."""
MAX_ATTEMPTS = 4


class GuardedBackend(AsyncNetworkBackend):
    """Opens TCP connections for one pool. `ports` are those that its requests may use beside 80 and 443."""

    def __init__(self, policy: EgressPolicy, resolve: Resolve, ports: frozenset[int]) -> None:
        self._policy = policy
        self._resolve = resolve
        self._ports = ports
        self._plain = AnyIOBackend()
        self._streams: WeakSet[QuickStream] = WeakSet()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to the first of the host's allowed addresses that answers.

        Raises:
            NetError: `dns_failed` or `egress_denied`; not one packet went to the host.
        """
        addresses = await self._addresses(host)
        allowed = self._policy.check(host, addresses, port, ports=self._ports)[:MAX_ATTEMPTS]
        stream = await self._dial(allowed, port, timeout, local_address, socket_options)
        return QuickStream(stream, self._streams)

    def has_hung_up(self) -> bool:
        """Has the other side closed one of the connections?"""
        return any(stream.has_hung_up() for stream in self._streams)

    async def _dial(
        self,
        addresses: Sequence[IPAddress],
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[SOCKET_OPTION] | None,
    ) -> AsyncNetworkStream:
        for address in addresses[:-1]:
            try:
                return await self._plain.connect_tcp(str(address), port, ATTEMPT_TIMEOUT, local_address, socket_options)
            except (ConnectError, ConnectTimeout):
                continue
        return await self._plain.connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)

    async def _addresses(self, host: str) -> list[IPAddress]:
        address = read_address(host)
        return await self._resolve(host) if address is None else [address]

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[SOCKET_OPTION] | None = None
    ) -> AsyncNetworkStream:
        """Always refused: sockets of this machine are no external system."""
        raise NetError("egress_denied", "connections to Unix sockets are closed by the egress policy")

    async def sleep(self, seconds: float) -> None:
        """Never called: the pool does not retry."""
        await self._plain.sleep(seconds)

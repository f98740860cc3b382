"""Where connections may go. Asked at dial time with resolved addresses, so no name and no redirect gets around it.

Public addresses on ports 80 and 443 are open. Anything else needs a rule of the operator, or, for the port alone, the
integration's list of ports. The installation's own services need a rule that names just them.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from definitions.urls import normal_host
from net.addresses import IPAddress, IPNetwork, Reach, classify, must_be_named_singly, plain
from net.errors import NetError

OPEN_PORTS = frozenset({80, 443})

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_MAPPED_BITS = 96


@dataclass(frozen=True, slots=True)
class AllowRule:
    """One host, address or network, on one port or (None) on every port that the call itself may use."""

    host: str | None
    network: IPNetwork | None
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "AllowRule":
        """Read `10.1.2.3`, `10.0.0.0/8:443`, `[fd00::5]:8443` or `host.internal:8443`.

        Raises:
            ValueError: none of these; a network within loopback or link-local, whose addresses must be named singly; or
                an address that no rule can allow.
        """
        host, port = _split(text.strip())
        try:
            network = _network(host)
        except ValueError:
            return cls(_host_name(host, text), None, port)
        if must_be_named_singly(network):
            raise ValueError(f"egress rule {text!r}: loopback and link-local addresses must be named one by one")
        if network.num_addresses == 1 and classify(network[0]).reach is Reach.NEVER:
            raise ValueError(f"egress rule {text!r}: no rule can allow it ({classify(network[0]).kind})")
        return cls(None, network, port)

    def covers(self, host: str, address: IPAddress, reach: Reach) -> bool:
        """Does this rule mean that address, reached by that name?"""
        if self.network is not None:
            exact = self.network.num_addresses == 1
            return address in self.network and (exact or reach < Reach.GUARDED)
        return self.host == host and (reach < Reach.GUARDED or _is_own_loopback(host, address))

    @property
    def names_one(self) -> bool:
        """Is it about one host or address on one port?"""
        return self.port is not None and (self.network is None or self.network.num_addresses == 1)

    def names(self, host: str, address: IPAddress | None, port: int) -> bool:
        """Is this host, or this address, on this port what it is about?"""
        if not self.names_one or self.port != port:
            return False
        return self.host == host if self.network is None else address is not None and plain(address) in self.network


class EgressPolicy:
    """The operator's rules over the built-in table of addresses.

    `own` are the installation's own services (its Temporal server, its database, what it listens on): a network that
    holds them, or an address without a port, does not open them.
    """

    def __init__(self, allow: Iterable[AllowRule] = (), *, own: Iterable[AllowRule] = ()) -> None:
        self._allow = tuple(allow)
        self._own = tuple(own)

    def check(
        self, host: str, addresses: Sequence[IPAddress], port: int, *, ports: Collection[int] = ()
    ) -> list[IPAddress]:
        """Those of a host's addresses that may be connected to on this port; `ports` are open beside 80 and 443.

        Raises:
            NetError: `egress_denied`, when none is left; the text says why and what would allow it.
        """
        open_port = port in OPEN_PORTS or port in ports
        name = normal_host(host)
        allowed = [address for address in addresses if self._permits(name, address, port, open_port)]
        if allowed:
            return allowed
        if any(self._is_own(name, address, port) for address in addresses):
            raise NetError("egress_denied", _own_service(host, port))
        raise NetError("egress_denied", _refusal(host, addresses, port, open_port))

    def check_port(self, host: str, port: int, *, ports: Collection[int] = ()) -> None:
        """The part of `check` that can be done for a name that somebody else will look up.

        Raises:
            NetError: `egress_denied`.
        """
        named = any(rule.port == port and rule.host == normal_host(host) for rule in self._allow)
        if port not in OPEN_PORTS and port not in ports and not named:
            raise NetError("egress_denied", _closed_port(host, port))
        if not named and self._is_own(normal_host(host), None, port):
            raise NetError("egress_denied", _own_service(host, port))

    def _permits(self, host: str, address: IPAddress, port: int, open_port: bool) -> bool:
        reach = classify(address).reach
        if reach is Reach.NEVER:
            return False
        address = plain(address)
        own = self._is_own(host, address, port)
        if reach is Reach.PUBLIC and open_port and not own:
            return True
        return any(
            rule.covers(host, address, reach)
            for rule in self._allow
            if (rule.port == port or (rule.port is None and open_port)) and (rule.names_one or not own)
        )

    def _is_own(self, host: str, address: IPAddress | None, port: int) -> bool:
        return any(rule.names(host, address, port) for rule in self._own)


def _refusal(host: str, addresses: Sequence[IPAddress], port: int, open_port: bool) -> str:
    places = [(address, classify(address)) for address in addresses]
    if not open_port and all(place.reach is Reach.PUBLIC for _, place in places):
        return _closed_port(host, port)
    address, place = max(places, key=lambda each: each[1].reach)
    target = str(address) if normal_host(host) == str(address) else f"{host} is {address}, which"
    never = place.reach is Reach.NEVER
    advice = "no rule can allow it" if never else f"if it is meant, allow {_bracket(str(plain(address)))}:{port}"
    article = "an" if place.kind[0] in "Iu" else "a"
    return f"{target} is {article} {place.kind} address, closed by the egress policy; {advice}"


def _own_service(host: str, port: int) -> str:
    target = f"{_bracket(host)}:{port}"
    return f"{target} is a service of this installation, closed by the egress policy; if it is meant, allow just that"


def _closed_port(host: str, port: int) -> str:
    return f"port {port} is closed; list it in the integration's ports, or allow {_bracket(host)}:{port}"


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_own_loopback(host: str, address: IPAddress) -> bool:
    """`localhost` is loopback by definition (RFC 6761 §6.3): whoever names it means it."""
    return host == "localhost" and address.is_loopback


def _split(text: str) -> tuple[str, int | None]:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        host, port = bracketed.groups()
        return host, None if port is None else _port(port, text)
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, _port(port, text) if colon else None


def _port(port: str, text: str) -> int:
    if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return int(port)
    raise ValueError(f"egress rule {text!r}: the port must be a number between 1 and 65535")


def _network(text: str) -> IPNetwork:
    """An address or a network; IPv4 in disguise as what it is, because that is how addresses are compared."""
    network = ip_network(text)
    first = plain(network[0])
    if isinstance(network, IPv6Network) and isinstance(first, IPv4Address) and network.prefixlen >= _MAPPED_BITS:
        return IPv4Network((first, network.prefixlen - _MAPPED_BITS))
    return network


def _host_name(host: str, text: str) -> str:
    name = normal_host(host)
    if _HOST.fullmatch(name) and not name.rpartition(".")[2].isdigit():
        return name
    forms = "HOST:PORT, ADDRESS[:PORT] or NETWORK/BITS[:PORT]"
    hint = "a network by its first address, an international name in its xn-- form"
    raise ValueError(f"egress rule {text!r}: expected {forms}; {hint}")

"""Where an IP address leads: the public internet, or somewhere that a connection must not reach by accident.

An explicit table instead of `ipaddress.is_global`, which calls NAT64 and 6to4 forms of the metadata address, site-local
and multicast addresses global, and differs between patch releases of Python.
Sources: the IANA special-purpose address registries (RFC 6890 and updates); the clouds' own documentation.
"""

import socket
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Reach(IntEnum):
    """What it takes to connect, from nothing to never."""

    PUBLIC = 0
    PRIVATE = 1
    """An operator's rule may allow it: by name, address or network."""
    GUARDED = 2
    """Only a rule that names this very address allows it: a network that happens to hold it does not."""
    NEVER = 3


@dataclass(frozen=True, slots=True)
class Place:
    """The kind of an address, in words for a message."""

    reach: Reach
    kind: str


PUBLIC = Place(Reach.PUBLIC, "public")
_RESERVED = Place(Reach.NEVER, "reserved")


def classify(address: IPAddress) -> Place:
    """The place of an address; one that a NAT64 gateway turns into IPv4 is at least as restricted as that."""
    if isinstance(address, IPv4Address):
        return _lookup(_V4, address, PUBLIC)
    if address.ipv4_mapped is not None:
        return classify(address.ipv4_mapped)
    place = _lookup(_V6, address, PUBLIC if address in _GLOBAL_UNICAST else _RESERVED)
    if not any(address in network for network in _NAT64):
        return place
    return max(place, classify(IPv4Address(int(address) & 0xFFFFFFFF)), key=lambda each: each.reach)


def read_address(host: str) -> IPAddress | None:
    """The address that a host is, however written: `127.1`, `0x7f000001` and `2130706433` name no host either."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def plain(address: IPAddress) -> IPAddress:
    """Without a scope, and as IPv4 if it is that in disguise: the form in which rules compare addresses."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def must_be_named_singly(network: IPNetwork) -> bool:
    """Is this a network of nothing but guarded addresses?"""
    table = _V4 if isinstance(network, IPv4Network) else _V6
    guarded = (row for row, place in table if place.reach is Reach.GUARDED)
    return network.num_addresses > 1 and any(
        row.num_addresses >= network.num_addresses and network[0] in row for row in guarded
    )


def _lookup(table: list[tuple[IPNetwork, Place]], address: IPAddress, otherwise: Place) -> Place:
    return next((place for network, place in table if address in network), otherwise)


def _table(*rows: tuple[Reach, str, str]) -> list[tuple[IPNetwork, Place]]:
    """Rows of (reach, kind, networks), the most specific first."""
    return [(ip_network(network), Place(reach, kind)) for reach, kind, networks in rows for network in networks.split()]


_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""RFC 6052, RFC 8215. Other forms that hold an IPv4 address are never reachable, whichever it is."""

# Alibaba's metadata service stands at 100.100.100.200, Oracle's also at 192.0.0.192, Azure's platform services at the
# public address 168.63.129.16, the task metadata of Amazon ECS at 169.254.170.2; fd00:ec2:: and fd20:ce:: are Amazon's
# and Google's by IPv6.
_V4 = _table(
    (Reach.GUARDED, "cloud metadata", "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 192.0.0.192"),
    (Reach.GUARDED, "loopback", "127.0.0.0/8"),
    (Reach.GUARDED, "link-local", "169.254.0.0/16"),
    (Reach.NEVER, "unspecified", "0.0.0.0/8"),
    (Reach.NEVER, "broadcast", "255.255.255.255"),
    (Reach.NEVER, "multicast", "224.0.0.0/4"),
    (Reach.NEVER, "reserved", "240.0.0.0/4"),
    (Reach.PRIVATE, "private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16"),
    (Reach.PRIVATE, "shared (carrier-grade NAT)", "100.64.0.0/10"),
    (Reach.PRIVATE, "protocol assignments", "192.0.0.0/24"),
    (Reach.PRIVATE, "6to4 relay", "192.88.99.0/24"),
    (Reach.PRIVATE, "benchmarking", "198.18.0.0/15"),
    (Reach.PRIVATE, "documentation", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24"),
)
_V6 = _table(
    (Reach.GUARDED, "cloud metadata", "fd00:ec2::254 fd00:ec2::23 fd20:ce::254"),
    (Reach.GUARDED, "loopback", "::1"),
    (Reach.GUARDED, "link-local", "fe80::/10"),
    (Reach.NEVER, "unspecified", "::"),
    (Reach.NEVER, "multicast", "ff00::/8"),
    (Reach.PRIVATE, "private (unique local)", "fc00::/7"),
    (Reach.PRIVATE, "private (site-local)", "fec0::/10"),
    (Reach.PRIVATE, "IPv4 through NAT64", "64:ff9b::/96 64:ff9b:1::/48"),
    (Reach.NEVER, "IPv4 embedded in IPv6", "::ffff:0:0:0/96 ::/96"),
    (Reach.NEVER, "IPv4 through Teredo", "2001::/32"),
    (Reach.NEVER, "IPv4 through 6to4", "2002::/16"),
    (Reach.PRIVATE, "documentation", "2001:db8::/32 3fff::/20"),
    (Reach.PRIVATE, "protocol assignments", "2001::/23"),
    (Reach.NEVER, "discard only", "100::/64"),
)

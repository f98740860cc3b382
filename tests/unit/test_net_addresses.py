"""The table of addresses, against a list written down from the registries and against Python's own idea of them."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from net.addresses import IPAddress, Reach, classify, must_be_named_singly, plain, read_address

ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 2**96 - 1).map(lambda low: IPv6Address(0x2001 << 112 | low)),
    st.integers(0, 2**32 - 1).map(lambda low: IPv6Address(0x64FF9B << 96 | low)),
    st.integers(0, 2**48 - 1).map(IPv6Address),
)
V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
WRAPPED = {
    "mapped": "::ffff:{dotted}",
    "compatible": "::{dotted}",
    "translated": "::ffff:0:{dotted}",
    "NAT64": "64:ff9b::{dotted}",
    "local NAT64": "64:ff9b:1::{dotted}",
    "6to4": "2002:{hex}::1",
    "Teredo server": "2001:0:{hex}:0:0:0:0",
    "Teredo client": "2001:0:808:808:0:0:{inverted}",
}


def wrapped(form: str, address: IPv4Address) -> IPv6Address:
    number = int(address)
    inverted = number ^ 0xFFFFFFFF
    return IPv6Address(
        WRAPPED[form].format(
            dotted=address,
            hex=f"{number >> 16:x}:{number & 0xFFFF:x}",
            inverted=f"{inverted >> 16:x}:{inverted & 0xFFFF:x}",
        )
    )


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
        *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255"),
        *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
        *("2606:4700::1111", "2001:200::1", "2a00:1450:4001::1", "2003::1", "3ffe::1", "::ffff:8.8.8.8"),
    ],
)
def test_the_public_internet_is_open_up_to_the_edges_of_the_special_ranges(address: str) -> None:
    assert classify(ip_address(address)).reach is Reach.PUBLIC


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("100.64.0.0/10", "shared (carrier-grade NAT)"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("198.18.0.0/15", "benchmarking"),
        ("fc00::/7", "private (unique local)"),
        ("fec0::/10", "private (site-local)"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("2001:2::/48", "protocol assignments"),
        ("2001:20::/28", "protocol assignments"),
    ],
)
def test_private_ranges_need_a_rule_from_their_first_to_their_last_address(network: str, kind: str) -> None:
    first, last = ip_network(network)[0], ip_network(network)[-1]
    assert [(classify(each).reach, classify(each).kind) for each in (first, last)] == [(Reach.PRIVATE, kind)] * 2


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("169.254.169.254", "cloud metadata"),
        ("169.254.170.2", "cloud metadata"),
        ("168.63.129.16", "cloud metadata"),
        ("100.100.100.200", "cloud metadata"),
        ("192.0.0.192", "cloud metadata"),
        ("fd00:ec2::254", "cloud metadata"),
        ("fd00:ec2::23", "cloud metadata"),
        ("fd20:ce::254", "cloud metadata"),
        ("127.0.0.0", "loopback"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.255", "loopback"),
        ("::1", "loopback"),
        ("169.254.0.0", "link-local"),
        ("169.254.255.255", "link-local"),
        ("fe80::", "link-local"),
        ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
        ("fe80::1%eth0", "link-local"),
    ],
)
def test_this_machine_its_link_and_metadata_services_need_a_rule_of_their_own(address: str, kind: str) -> None:
    place = classify(ip_address(address))
    assert (place.reach, place.kind) == (Reach.GUARDED, kind)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.255.255.255", "unspecified"),
        ("255.255.255.255", "broadcast"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.0", "reserved"),
        ("255.255.255.254", "reserved"),
        ("::", "unspecified"),
        ("ff02::1", "multicast"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
        ("100::1", "discard only"),
        ("5f00::1", "reserved"),
        ("4000::", "reserved"),
        ("1fff::", "reserved"),
        ("2002:808:808::1", "IPv4 through 6to4"),
        ("2001::1", "IPv4 through Teredo"),
        ("::8.8.8.8", "IPv4 embedded in IPv6"),
        ("::ffff:0:8.8.8.8", "IPv4 embedded in IPv6"),
    ],
)
def test_what_no_connection_is_meant_for_is_never_reachable(address: str, kind: str) -> None:
    place = classify(ip_address(address))
    assert (place.reach, place.kind) == (Reach.NEVER, kind)


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "168.63.129.16", "0.0.0.0"])
def test_ipv4_in_an_ipv6_disguise_is_at_least_as_closed_as_it_is_itself(form: str, address: str) -> None:
    inner = IPv4Address(address)
    assert classify(wrapped(form, inner)).reach >= classify(inner).reach


@pytest.mark.parametrize("form", [form for form in WRAPPED if form != "mapped"])
def test_a_public_ipv4_address_behind_a_gateway_is_not_public(form: str) -> None:
    assert classify(wrapped(form, IPv4Address("8.8.8.8"))).reach > Reach.PUBLIC


@given(V4, st.sampled_from(list(WRAPPED)))
def test_no_disguise_opens_an_address(inner: IPv4Address, form: str) -> None:
    assume(wrapped(form, inner) != IPv6Address("::1"))  # compatible with 0.0.0.1, and first of all IPv6's own loopback
    assert classify(wrapped(form, inner)).reach >= classify(inner).reach


@given(ADDRESSES)
@example(IPv6Address("2001:db8::"))
@example(IPv4Address("192.0.0.8"))
def test_nothing_that_python_calls_special_is_public(address: IPAddress) -> None:
    special = not address.is_global or any(
        getattr(address, f"is_{kind}")
        for kind in ("private", "loopback", "link_local", "multicast", "reserved", "unspecified")
    )
    assert not (special and classify(address).reach is Reach.PUBLIC)


@pytest.mark.parametrize(
    "network",
    [*ipaddress._IPv4Constants._private_networks, *ipaddress._IPv6Constants._private_networks],  # type: ignore[attr-defined]
)
def test_no_range_in_pythons_own_table_begins_or_ends_public(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> None:
    assert Reach.PUBLIC not in {classify(network[0]).reach, classify(network[-1]).reach}


@given(ADDRESSES)
def test_the_form_in_which_rules_compare_addresses_leads_to_the_same_place(address: IPAddress) -> None:
    assert classify(plain(address)) == classify(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("::ffff:10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1"), ("10.0.0.1", "10.0.0.1"), ("fd00::5", "fd00::5")],
)
def test_addresses_are_compared_without_disguise_and_scope(address: str, expected: str) -> None:
    assert plain(ip_address(address)) == ip_address(expected)


@pytest.mark.parametrize(
    "network", ["127.0.0.0/8", "127.0.0.0/31", "169.254.0.0/16", "169.254.169.0/24", "fe80::/10", "fe80::/64"]
)
def test_a_network_of_nothing_but_guarded_addresses_must_be_named_singly(network: str) -> None:
    assert must_be_named_singly(ip_network(network))


@pytest.mark.parametrize("network", ["127.0.0.1/32", "::1/128", "10.0.0.0/8", "126.0.0.0/7", "0.0.0.0/0", "fc00::/7"])
def test_a_single_address_or_a_wider_network_need_not(network: str) -> None:
    assert not must_be_named_singly(ip_network(network))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.1", "017700000001", "0177.0.0.1"]
)
def test_every_spelling_of_an_ipv4_address_is_read_as_that_address(host: str) -> None:
    assert read_address(host) == IPv4Address("127.0.0.1")


@pytest.mark.parametrize("host", ["", "localhost", "api.example", "1.2.3.256", "4294967296", "1.2.3.4.5", "a\0b", "é"])
def test_a_name_is_no_address(host: str) -> None:
    assert read_address(host) is None

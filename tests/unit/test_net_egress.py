"""Where connections may go: the operator's rules, read and applied."""

from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.addresses import IPAddress
from net.egress import AllowRule, EgressPolicy, host_matches
from net.errors import NetError, Sent

PUBLIC = "93.184.216.34"


def addresses(*texts: str) -> list[IPAddress]:
    return [ip_address(text) for text in texts]


def allowed(rules: Sequence[str], host: str, address: str, port: int, *ports: int) -> bool:
    policy = EgressPolicy(AllowRule.parse(rule) for rule in rules)
    try:
        return policy.check(host, addresses(address), port, ports=ports) == addresses(address)
    except NetError:
        return False


def refusal(host: str, *found: str, port: int = 443) -> str:
    with pytest.raises(NetError) as refused:
        EgressPolicy().check(host, addresses(*found), port)
    assert (refused.value.code, refused.value.sent) == ("egress_denied", Sent.NO)
    return str(refused.value)


@pytest.mark.parametrize(
    ("rule", "host", "address", "port"),
    [
        ("10.1.2.3", "10.1.2.3", "10.1.2.3", 443),
        ("10.1.2.3:8443", "db.internal", "10.1.2.3", 8443),
        ("10.0.0.0/8:443", "db.internal", "10.255.0.1", 443),
        ("10.0.0.0/8", "db.internal", "10.255.0.1", 80),
        ("host.internal:8443", "host.internal", "10.1.2.3", 8443),
        ("HOST.internal.:8443", "Host.Internal.", "10.1.2.3", 8443),
        ("host.internal:8443", "host.internal", PUBLIC, 8443),
        ("host_1.internal", "host_1.internal", "10.1.2.3", 443),
        ("[fd00::5]:8443", "fd00::5", "fd00::5", 8443),
        ("fd00::5", "fd00::5", "fd00::5", 443),
        ("[fd00::/8]:443", "db.internal", "fdff::1", 443),
        ("fd00::/8", "db.internal", "fdff::1", 443),
        ("127.0.0.1:8080", "127.0.0.1", "127.0.0.1", 8080),
        ("127.0.0.1:8080", "localhost", "127.0.0.1", 8080),
        ("127.0.0.1:8080", "::ffff:7f00:1", "::ffff:127.0.0.1", 8080),
        ("::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1", 80),
        ("[::ffff:10.0.0.0/104]:80", "10.1.2.3", "10.1.2.3", 80),
        ("localhost:8080", "localhost", "127.0.0.1", 8080),
        ("localhost:8080", "localhost", "::1", 8080),
        ("169.254.169.254:80", "169.254.169.254", "169.254.169.254", 80),
        ("0.0.0.0/0", "db.internal", "10.1.2.3", 443),
        ("fe80::1%eth0", "printer", "fe80::1", 80),
        (" 10.1.2.3:8443 ", "10.1.2.3", "10.1.2.3", 8443),
    ],
)
def test_a_rule_opens_what_it_names(rule: str, host: str, address: str, port: int) -> None:
    assert not allowed([], host, address, port)
    assert allowed([rule], host, address, port)


@pytest.mark.parametrize(
    ("rule", "host", "address", "port"),
    [
        ("10.1.2.3:8443", "10.1.2.3", "10.1.2.3", 8444),
        ("10.1.2.3:8443", "10.1.2.4", "10.1.2.4", 8443),
        ("10.1.2.3", "10.1.2.3", "10.1.2.3", 8443),
        ("host.internal:8443", "other.internal", "10.1.2.3", 8443),
        ("host.internal:8443", "evil.host.internal", "10.1.2.3", 8443),
        ("host.internal", "host.internal", "10.1.2.3", 8443),
        ("host.internal:80", "host.internal", "127.0.0.1", 80),
        ("host.internal:80", "host.internal", "169.254.169.254", 80),
        ("localhost:80", "localhost", "10.1.2.3", 8080),
        ("localhost:80", "localhost", "169.254.169.254", 80),
        ("localhost:80", "evil.example", "127.0.0.1", 80),
        ("0.0.0.0/0", "evil.example", "127.0.0.1", 80),
        ("0.0.0.0/0", "evil.example", "169.254.169.254", 80),
        ("0.0.0.0/0", "evil.example", "168.63.129.16", 80),
        ("0.0.0.0/0", "evil.example", "224.0.0.1", 80),
        ("::/0", "evil.example", "::1", 80),
        ("::/0", "evil.example", "64:ff9b::7f00:1", 80),
        ("::/0", "evil.example", "2002:7f00:1::", 80),
        ("10.0.0.0/8", "evil.example", "64:ff9b::10.0.0.1", 80),
    ],
)
def test_a_rule_opens_nothing_beside_it(rule: str, host: str, address: str, port: int) -> None:
    assert not allowed([rule], host, address, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ":", ":80", "host:", "host:0", "host:65536", "host:-1", "host:http", "host:٣", "host:80:90"),
        *("[fd00::5", "fd00::5]", "[fd00::5]8443", "[fd00::5]:", "[fd00::5]:x", "[]:80", "[[::1]]"),
        *("10.0.0.5/8", "10.0.0.0/33", "10.0.0.300", "10.0.0.300:80", "10.0.0", "127.1", "2130706433", "1.2.3.4.5"),
        *(
            "*.example.com",
            "host..internal",
            ".internal",
            "bücher.example",
            "https://host",
            "host/path",
            "u@host",
            "a b",
        ),
        *("0.0.0.0", "224.0.0.1:80", "255.255.255.255", "::", "[ff02::1]:80", "2002:7f00:1::", "a\nb"),
        *("127.0.0.0/8", "127.0.0.0/8:80", "169.254.0.0/16", "fe80::/10", "::ffff:127.0.0.0/104"),
    ],
)
def test_a_rule_that_would_open_nothing_or_too_much_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="egress rule ") as refused:
        AllowRule.parse(text)
    assert repr(text.strip()) in str(refused.value) or repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("host:65536", "the port must be a number between 1 and 65535"),
        ("127.0.0.0/8", "must be named one by one"),
        ("224.0.0.1", r"no rule can allow it \(multicast\)"),
        ("10.0.0.5/8", "a network by its first address"),
        ("bücher.example", "in its xn-- form"),
    ],
)
def test_the_refusal_of_a_rule_says_what_is_expected(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AllowRule.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_a_rule_or_a_value_error(text: str) -> None:
    try:
        rule = AllowRule.parse(text)
    except ValueError:
        return
    assert (rule.host is None) is not (rule.network is None)
    assert rule.port is None or 0 < rule.port < 65536


@pytest.mark.parametrize(("port", "opened"), [(80, True), (443, True), (22, False), (8080, False), (25, False)])
def test_a_public_host_is_reached_on_the_ports_of_the_web_only(port: int, opened: bool) -> None:
    assert allowed([], "api.example", PUBLIC, port) is opened


def test_an_integration_opens_a_port_but_no_private_address() -> None:
    assert allowed([], "api.example", PUBLIC, 8443, 8443)
    assert not allowed([], "db.internal", "10.1.2.3", 8443, 8443)


def test_a_rule_without_a_port_holds_for_the_ports_of_the_call_too() -> None:
    assert allowed(["10.1.2.3"], "10.1.2.3", "10.1.2.3", 8443, 8443)


def test_of_several_addresses_only_the_allowed_ones_are_dialled() -> None:
    found = addresses("10.0.0.1", PUBLIC, "127.0.0.1", "1.1.1.1")
    assert EgressPolicy().check("mixed.example", found, 443) == addresses(PUBLIC, "1.1.1.1")


def test_a_refusal_names_host_address_kind_and_the_rule_that_would_allow_it() -> None:
    assert refusal("db.internal", "10.1.2.3", port=5432) == (
        "db.internal is 10.1.2.3, which is a private address, closed by the egress policy; "
        "if it is meant, allow 10.1.2.3:5432"
    )


def test_a_refusal_names_the_worst_of_several_addresses() -> None:
    assert "169.254.169.254, which is a cloud metadata address" in refusal("x.example", "10.0.0.1", "169.254.169.254")


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::5", "127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1"])
def test_the_advice_of_a_refusal_is_a_rule_that_helps(address: str) -> None:
    advice = refusal("db.internal", address, port=5432).rpartition("allow ")[2]
    assert allowed([advice], "db.internal", address, 5432)


@pytest.mark.parametrize("address", ["224.0.0.1", "0.0.0.0", "2002:7f00:1::"])
def test_no_rule_however_made_opens_what_is_never_reachable(address: str) -> None:
    policy = EgressPolicy([AllowRule(None, ip_network(address), 80), AllowRule("x.example", None, 80)])
    with pytest.raises(NetError, match="no rule can allow it"):
        policy.check("x.example", addresses(address), 80)


def test_a_refusal_for_good_offers_no_rule() -> None:
    assert refusal("x.example", "224.0.0.1").endswith(
        "is a multicast address, closed by the egress policy; no rule can allow it"
    )


def test_a_closed_port_of_a_public_host_is_told_as_that() -> None:
    assert refusal("api.example", PUBLIC, port=8443) == (
        "port 8443 is closed; list it in the integration's ports, or allow api.example:8443"
    )


def test_behind_a_proxy_the_port_of_a_name_is_checked_all_the_same() -> None:
    policy = EgressPolicy([AllowRule.parse("host.internal:8443")])
    policy.check_port("api.example", 443)
    policy.check_port("api.example", 9443, ports={9443})
    policy.check_port("Host.Internal", 8443)
    with pytest.raises(NetError, match="port 8443 is closed"):
        policy.check_port("api.example", 8443)


@given(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(1, 65535))
def test_without_rules_nothing_but_public_addresses_on_open_ports_is_allowed(address: IPv4Address, port: int) -> None:
    if allowed([], "any.example", str(address), port):
        assert address.is_global
        assert port in (80, 443)


@pytest.mark.parametrize(
    ("host", "patterns", "matches"),
    [
        ("api.example", {"api.example"}, True),
        ("API.example.", {"api.Example"}, True),
        ("api.example", {"other.example"}, False),
        ("eu.api.example", {"*.api.example"}, True),
        ("a.b.api.example", {"*.api.example"}, True),
        ("api.example", {"*.api.example"}, False),
        ("evilapi.example", {"*.api.example"}, False),
        ("eu.api.example.evil.example", {"*.api.example"}, False),
        ("api.example", set(), False),
    ],
)
def test_lists_of_hosts_hold_exact_names_and_names_below(host: str, patterns: set[str], matches: bool) -> None:
    assert host_matches(host, patterns) is matches

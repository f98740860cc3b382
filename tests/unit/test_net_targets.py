"""Where a request goes is what its URL shows, or nowhere: what two parsers could read differently is refused."""

from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from net.errors import NetError, Sent
from net.targets import parse_target

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PATHS = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="#?\\ "), max_size=20)


def refusal_of(url: str) -> str:
    with pytest.raises(NetError) as refused:
        parse_target(url)
    assert refused.value.code == "invalid_request"
    assert refused.value.sent is Sent.NO
    return str(refused.value)


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://api.example/v1?a=1&a=2", ("https", "api.example", 443), "/v1?a=1&a=2"),
        ("http://api.example", ("http", "api.example", 80), "/"),
        ("http://api.example?a=1", ("http", "api.example", 80), "/?a=1"),
        ("HTTPS://API.Example:8443/A", ("https", "api.example", 8443), "/A"),
        ("https://api.example./", ("https", "api.example", 443), "/"),
        ("https://api.example:443/", ("https", "api.example", 443), "/"),
        ("https://bücher.example/", ("https", "xn--bcher-kva.example", 443), "/"),
        ("https://api.example/ü?ü=ß", ("https", "api.example", 443), "/%C3%BC?%C3%BC=%C3%9F"),
        ("https://api.example/a%2Fb//c", ("https", "api.example", 443), "/a%2Fb//c"),
        ("http://under_score.example/", ("http", "under_score.example", 80), "/"),
        ("http://[::1]:8080/", ("http", "::1", 8080), "/"),
        ("http://[2001:DB8:0:0::1]/", ("http", "2001:db8::1", 80), "/"),
        ("http://[::ffff:127.0.0.1]/", ("http", "::ffff:127.0.0.1", 80), "/"),
    ],
)
def test_a_plain_url_is_taken_apart(url: str, origin: tuple[str, str, int], path: str) -> None:
    target = parse_target(url)
    assert (target.origin, target.path) == (origin, path)


@pytest.mark.parametrize(
    "url", ["http://１２７.0.0.1/", "http://①②⑦.0.0.1/", "http://127。0。0。1/", "http://127.0.0.1./"]
)
def test_an_address_in_disguise_becomes_that_address(url: str) -> None:
    assert parse_target(url).host == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    ["http://x@127.0.0.1/", "https://api.example@evil.example/", "http://user:hunter22@api.example/", "http://@a/"],
)
def test_user_information_is_refused_and_not_repeated(url: str) -> None:
    told = refusal_of(url)
    assert told == "the URL must not hold a user name or password"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1\\@api.example/",
        "http://api.example\\evil.example/",
        "http://api.example/a\\..\\b",
        "http://api.example/a b",
        "http:// api.example/",
        "http://api.example/a\tb",
        "http://api.example/a\r\nX-Injected: 1",
        "http://api.example/a\x00b",
        "http://api.example/\x7f",
        "http://api.example/?a\nb",
        "http://api.example/\n",
    ],
)
def test_backslashes_spaces_and_control_characters_are_refused(url: str) -> None:
    assert "backslash, a space or a control character" in refusal_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/v1/leads",
        "//api.example/",
        "api.example/v1",
        "ftp://api.example/",
        "file:///etc/passwd",
        "gopher://api.example/",
        "http:/api.example/",
        "http:api.example",
        " http://api.example/",
        "httpſ://api.example/",
        "unix:/run/docker.sock",
    ],
)
def test_only_absolute_http_urls_are_taken(url: str) -> None:
    assert "absolute and start with http:// or https://" in refusal_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///path",
        "http://?q",
        "http://:80/",
        "http://./",
        "http://a..b/",
        "http://.a/",
        "http://-a.example/",
        "http://a-/",
        "http://a:b:80/",
        "http://a:/",
        "http://a:+80/",
        "http://a:٨٠/",
        "http://a%2eb/",
        "http://a,b/",
        "http://a;b/",
        "http://$a/",
        "http://[::1/",
        "http://::1/",
        "http://[fe80::1%25eth0]/",
        "http://[127.0.0.1]/",
        "http://[::1].example/",
        "http://\u200d.example/",
        "http://xn--/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}example/",
        "http://\ud800/",
    ],
)
def test_hosts_that_are_none_are_refused(url: str) -> None:
    assert refusal_of(url)


@pytest.mark.parametrize("port", ["0", "00000", "65536", "99999"])
def test_a_port_that_no_server_can_have_is_refused(port: str) -> None:
    assert "between 1 and 65535" in refusal_of(f"http://api.example:{port}/")


def test_a_fragment_is_refused() -> None:
    assert "fragment" in refusal_of("https://api.example/users/a#b")


def test_a_lone_surrogate_is_refused_instead_of_becoming_a_question_mark() -> None:
    assert "surrogate" in refusal_of("https://api.example/a\ud800b")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://api.example/", "api.example"),
        ("https://api.example:80/", "api.example:80"),
        ("http://[::1]/", "[::1]"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_the_host_header_names_a_port_only_where_it_is_not_the_usual_one(url: str, authority: str) -> None:
    assert parse_target(url).authority == authority


def test_what_is_shown_of_a_target_holds_neither_path_nor_query() -> None:
    target = parse_target("https://api.example/bot123456:canary/send?api_key=canary")
    assert str(target) == "https://api.example"
    assert "canary" not in repr(target)
    assert target.safe_url == "https://api.example/bot123456:canary/send"


@given(HOSTS, st.one_of(st.none(), st.integers(1, 65535)), PATHS, PATHS)
def test_what_is_accepted_goes_to_exactly_the_host_it_shows(host: str, port: int | None, path: str, query: str) -> None:
    target = parse_target(f"https://{host}{'' if port is None else f':{port}'}/{path}?{query}")
    assert (target.scheme, target.host, target.port) == ("https", host, port or 443)
    assert target.path.isascii()
    assert target.path.startswith("/")


@given(st.text(max_size=40).map("http://{}".format))
@example("http://a\x85b/")
@example("http://\u3002/")
@example("http://ﷺ/")
def test_any_text_is_either_refused_or_safe_to_put_on_the_wire(url: str) -> None:
    try:
        target = parse_target(url)
    except NetError:
        return
    assert parse_target(target.url) == target
    assert all("!" <= character <= "~" for character in target.authority + target.path)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_an_ipv6_address_stays_the_same_address_in_every_notation(address: IPv6Address) -> None:
    host = parse_target(f"http://[{address.exploded}]/").host
    assert host == parse_target(f"http://[{address}]/").host
    assert IPv6Address(host) == address

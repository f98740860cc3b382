"""URLs stay where they belong, whatever path, query and values hold."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from definitions.templates import TemplateError
from definitions.urls import (
    UrlError,
    build_url,
    encode_path_value,
    host_names,
    is_absolute,
    render_path,
    render_url,
)

BASE = "https://api.example.com/v1"

hostile = st.text(alphabet="./\\%2eEfF5cC?#&=;:@{}[]ax \t\r\n\0\x7fü", max_size=25)


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        (BASE, "leads", f"{BASE}/leads"),
        (BASE, "/leads", f"{BASE}/leads"),
        (f"{BASE}/", "/leads/", f"{BASE}/leads/"),
        (BASE, "", BASE),
        ("https://api.example.com", "", "https://api.example.com/"),
        ("https://api.example.com", "leads", "https://api.example.com/leads"),
        (BASE, "//evil.example/x", f"{BASE}/evil.example/x"),
        (BASE, "a b/ü", f"{BASE}/a%20b/%C3%BC"),
        (BASE, "a%20b", f"{BASE}/a%20b"),
        (BASE, "a;b=c/d,e:f@g", f"{BASE}/a;b=c/d,e:f@g"),
        (BASE, "a...b/..c/.d", f"{BASE}/a...b/..c/.d"),
        (BASE, "leads?q=a b", f"{BASE}/leads?q=a%20b"),
        (BASE, "?q=1", f"{BASE}?q=1"),
        (BASE, "go?to=https://other.example/x", f"{BASE}/go?to=https://other.example/x"),
        (BASE, "web/2026/https://other.example/x", f"{BASE}/web/2026/https://other.example/x"),
        (BASE, "https://api.example.com/v2/x", "https://api.example.com/v2/x"),
        (BASE, "https://api.example.com:443/x", "https://api.example.com:443/x"),
        (BASE, "https://API.example.com", "https://API.example.com/"),
        ("http://api.example.com:8080", "http://api.example.com:8080/x", "http://api.example.com:8080/x"),
    ],
)
def test_a_path_is_joined_to_the_base(base: str, path: str, expected: str) -> None:
    assert build_url(base, path) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../../admin", "a path may not contain . or .. segments"),
        ("users/../../admin", "a path may not contain . or .. segments"),
        ("a/..", "a path may not contain . or .. segments"),
        ("a/./b", "a path may not contain . or .. segments"),
        ("%2e%2e/x", "a path may not contain . or .. segments"),
        ("%2E./x", "a path may not contain . or .. segments"),
        ("a%2f..%2fb", "a path may not contain . or .. segments"),
        ("%252e%252e/x", "a path may not contain . or .. segments"),
        ("%25252e%25252e/x", "a path may not contain . or .. segments"),
        ("..;/x", "a path may not contain . or .. segments"),
        ("a%5c..%5cb", "a path may not contain . or .. segments"),
        ("..\\x", "the path may not contain a backslash"),
        ("a#b", "a path may not contain #: write %23 for the character itself"),
        ("a?b#c", "a query may not contain #: write %23 for the character itself"),
        ("a%b", "a path may not contain a % that encodes nothing: write %25 for the character itself"),
        ("a?b=5%", "a query may not contain a % that encodes nothing: write %25 for the character itself"),
        ("a\r\nHost: evil", "the path may not contain control characters"),
        ("a\0", "the path may not contain control characters"),
        ("a?b=\n", "the path may not contain control characters"),
        ("https://evil.example/x", "the URL's host is neither that of the integration's base_url nor one of its hosts"),
        ("http://api.example.com/x", "the URL's host is neither"),
        ("https://api.example.com:8443/x", "the URL's host is neither"),
        ("https://api.example.com.evil.example/x", "the URL's host is neither"),
        ("https://api.example.com@evil.example/x", "the URL may not contain user information"),
        ("https://user:pw@api.example.com/x", "the URL may not contain user information"),
        ("https://api.example.com/x#y", "the URL may not contain #"),
        ("https://{bot}.example.com/", "the URL may not have a placeholder, a space or % in its host"),
        ("https://a%2eexample.com/", "the URL may not have a placeholder, a space or % in its host"),
        ("https://[::1/", "the URL cannot be read"),
        ("https://api.example.com:99999/", "the URL cannot be read"),
        ("https:///x", "the URL must begin with https:// or http:// and name a host"),
        ("ftp://api.example.com/x", "the URL must begin with https:// or http:// and name a host"),
        ("file:///etc/passwd", "the URL must begin with https:// or http:// and name a host"),
    ],
)
def test_what_leads_elsewhere_or_can_be_read_in_two_ways_is_refused(path: str, message: str) -> None:
    with pytest.raises(UrlError) as caught:
        build_url(BASE, path)
    assert str(caught.value).startswith(message)
    assert "evil" not in str(caught.value)


HOSTS = ["files.example.net", "*.cdn.example"]


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.net/x",
        "https://FILES.example.net/x",
        "https://eu.cdn.example/x",
        "https://a.eu.cdn.example/x",
    ],
)
def test_absolute_urls_may_lead_to_the_hosts_that_the_integration_names(url: str) -> None:
    assert build_url(BASE, url, allowed_hosts=HOSTS) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/x",
        "https://evilcdn.example/x",
        "https://files.example.net.evil/x",
        "https://x.files.example.net/x",
        "http://files.example.net/x",
    ],
)
def test_absolute_urls_lead_to_no_other_host_and_to_none_without_tls(url: str) -> None:
    with pytest.raises(UrlError, match="neither that of the integration's base_url nor one of its hosts"):
        build_url(BASE, url, allowed_hosts=HOSTS)


def test_query_parameters_keep_their_order_and_repetition() -> None:
    url = build_url(BASE, "leads?z=0", [("b", "2"), ("a", "1"), ("b", "3"), ("c", "")])

    assert url == f"{BASE}/leads?z=0&b=2&a=1&b=3&c="


@pytest.mark.parametrize("path", ["leads", "https://api.example.com/v1/leads", "leads?", ""])
def test_a_query_follows_whatever_the_path_is(path: str) -> None:
    assert build_url(BASE, path, [("a", "b")]).endswith("?a=b")


@given(path=hostile | st.text(max_size=20))
@example(path="../../admin")
@example(path="%2e%2e/x")
@example(path="a/..;/b")
def test_any_relative_path_stays_under_the_base_or_is_refused(path: str) -> None:
    try:
        url = build_url(BASE, path)
    except (UrlError, UnicodeError):
        return
    if is_absolute(path):
        assert url.startswith("https://api.example.com/")
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example.com", "")
    assert parts.path == "/v1" or parts.path.startswith("/v1/")
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url
    segments = unquote(unquote(parts.path)).replace("\\", "/").split("/")
    assert not {".", ".."} & {segment.partition(";")[0] for segment in segments}


@given(query=st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10) | hostile), max_size=4))
def test_any_query_arrives_as_it_is_and_changes_nothing_else(query: list[tuple[str, str]]) -> None:
    url = build_url(BASE, "leads?x=1", query)

    parts = urlsplit(url)
    assert url.isascii()
    assert (parts.netloc, parts.path, parts.fragment) == ("api.example.com", "/v1/leads", "")
    assert parse_qsl(parts.query, keep_blank_values=True) == [("x", "1"), *query]


@given(value=hostile | st.text(max_size=20))
@example(value="../../admin")
@example(value="%2e%2e/x")
@example(value="a#b")
@example(value="a?x=1")
@example(value="a\r\nb")
def test_any_path_variable_stays_one_segment_or_is_refused(value: str) -> None:
    try:
        base = render_url("https://api.example.com/v1/{x}/y", {"x": value})
        url = build_url(base, "leads", [("a", "b")])
    except UrlError:
        return
    parts = urlsplit(url)
    assert (parts.netloc, parts.query, parts.fragment) == ("api.example.com", "a=b", "")
    head, variable, *tail = parts.path.split("/")[1:]
    assert (head, tail) == ("v1", ["y", "leads"])
    assert unquote(variable) == value


@given(value=hostile | st.text(max_size=12))
@example(value="evil.example/")
@example(value="x@evil.example")
@example(value="x:80#")
def test_any_host_variable_is_a_host_or_is_refused(value: str) -> None:
    try:
        url = render_url("https://{server}.example.com/v1", {"server": value})
        parts = urlsplit(build_url(url, "leads"))
    except UrlError:
        return
    assert parts.netloc == f"{value}.example.com"
    assert parts.path == "/v1/leads"


@pytest.mark.parametrize("value", [".", "..", "%2e", "%2e%2e", "%252e", "a/../b", "../../admin", "a\\..\\b", "..;x"])
def test_a_value_that_a_server_could_read_as_another_directory_is_refused(value: str) -> None:
    with pytest.raises(UrlError, match="may not hold \\. or \\.\\. as a segment"):
        encode_path_value(value)


def test_a_value_may_hold_whatever_else_it_likes() -> None:
    assert encode_path_value("a/b?c#d e%ü..") == "a%2Fb%3Fc%23d%20e%25%C3%BC.."


@pytest.mark.parametrize(
    ("template", "values", "url"),
    [
        ("https://{a}.example.com:{b}/x", {"a": "eu-1", "b": "8443"}, "https://eu-1.example.com:8443/x"),
        ("http://{a}", {"a": "127.0.0.1:80"}, "http://127.0.0.1:80"),
        ("http://{a}/x", {"a": "[::1]:80"}, "http://[::1]:80/x"),
        ("https://x/{a}/{b}", {"a": "a/b", "b": "{bot}"}, "https://x/a%2Fb/{bot}"),
        ("https://x/?a={a}&b={b|lower}", {"a": "&=", "b": "A B"}, "https://x/?a=%26%3D&b=a%20b"),
        ('https://x/{a|default("b/c?d")}/e', {}, "https://x/b%2Fc%3Fd/e"),
        ("https://x/{{y}}", {}, "https://x/{y}"),
    ],
)
def test_each_placeholder_is_encoded_for_its_place(template: str, values: dict[str, str], url: str) -> None:
    assert render_url(template, values) == url


def test_a_host_takes_no_default_that_would_end_it() -> None:
    with pytest.raises(UrlError, match="may not contain characters that end a host"):
        render_url('https://{a|default("evil.example/")}.example.com', {})


def test_a_placeholder_that_is_the_scheme_is_refused() -> None:
    with pytest.raises(UrlError, match="must begin with https:// or http://, not with a placeholder"):
        render_url("{url}/x", {"url": "https://evil.example"})


def test_a_url_without_its_value_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"nothing fills placeholder \{server\}"):
        render_url("https://{server}/", {})


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("https://{a}.{b}:{c}/{d}?{e}", {"a", "b", "c"}),
        ("{scheme}://{a}", {"scheme", "a"}),
        ("https://x/{a}", set()),
        ("https://x?{a}", set()),
        ('https://{a|default("/")}{b}/{c}', {"a", "b"}),
    ],
)
def test_the_names_in_a_host_are_known(template: str, names: set[str]) -> None:
    assert host_names(template) == names


def test_a_relative_path_is_filled_like_a_url() -> None:
    assert render_path("t/{a}/me?x={b}", {"a": "x/y", "b": "1&2"}) == "t/x%2Fy/me?x=1%262"

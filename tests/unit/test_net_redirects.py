"""Whether a redirect is followed, and with what: the decision, apart from the network."""

from collections.abc import Callable

import pytest

from net.errors import NetError, Sent
from net.messages import HttpReply, Injected, OutboundRequest, TlsOptions
from net.redaction import LIVE_SECRETS
from net.redirects import Hop, next_hop
from net.targets import parse_target

HEADERS = (("Authorization", "Bearer t"), ("X-Api-Key", "k"), ("Cookie", "c=1"), ("Accept", "*/*"))
INJECTED = Injected(headers=frozenset({"x-api-key"}), query=frozenset({"api_key"}))
IDENTITY = TlsOptions(client_certificate_pem=b"certificate", client_key_pem=b"key")
BASE = "https://api.example/v1/leads?api_key=k"


def asked(method: str = "GET", url: str = BASE, content: bytes = b"", **options: object) -> OutboundRequest:
    chosen = {"injected": INJECTED, "headers": HEADERS, **options}
    return OutboundRequest(method, url, content=content, **chosen)  # type: ignore[arg-type]


def following(request: OutboundRequest, location: str, status: int = 302, *, hop: Hop | None = None) -> Hop | None:
    first = Hop(request.method, parse_target(request.url), request.headers, request.content, request.tls)
    headers = [("Location", location)] if location else []
    return next_hop(hop or first, HttpReply(status, headers, b"", "HTTP/1.1", 0.0, "https://api.example/v1"), request)


def followed(request: OutboundRequest, location: str, status: int = 302, *, hop: Hop | None = None) -> Hop:
    next_one = following(request, location, status, hop=hop)
    assert next_one is not None
    return next_one


def refusal(request: OutboundRequest, location: str, status: int = 302) -> str:
    with pytest.raises(NetError) as refused:
        following(request, location, status)
    error = refused.value
    assert (error.code, error.sent, error.status) == ("redirect_refused", Sent.ANSWERED, status)
    return str(error)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_safe_request_is_followed_as_it_was(status: int, method: str) -> None:
    hop = followed(asked(method), "/v2/leads?api_key=k", status)
    assert (hop.method, hop.target.url) == (method, "https://api.example/v2/leads?api_key=k")
    assert hop.headers == HEADERS
    assert not hop.done


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 302])
def test_any_other_request_that_is_sent_away_has_that_as_its_answer(status: int, method: str) -> None:
    assert following(asked(method, content=b"{}"), "/v2/leads", status) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [307, 308])
def test_a_request_that_is_to_be_repeated_is_repeated_whole_within_its_origin(status: int, method: str) -> None:
    hop = followed(asked(method, content=b"{}"), "/v2/leads", status)
    assert (hop.method, hop.content, hop.headers, hop.done) == (method, b"{}", HEADERS, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [307, 308])
def test_a_request_with_an_effect_never_goes_to_another_origin(status: int, method: str) -> None:
    told = refusal(asked(method, content=b"{}"), "https://other.example/", status)
    assert f"leads a {method} with its body to another origin (https://other.example)" in told


def test_a_303_says_done_and_is_followed_by_a_get_without_the_body() -> None:
    request = asked("POST", content=b"{}", headers=(*HEADERS, ("Content-Type", "application/json")))
    hop = followed(request, "/v1/leads/7", 303)
    assert (hop.method, hop.content, hop.done) == ("GET", b"", True)
    assert hop.headers == HEADERS


def test_once_done_stays_done_over_further_redirects() -> None:
    request = asked("POST", content=b"{}")
    hop = followed(request, "/v1/leads/7", 303)
    assert followed(request, "/v1/leads/8", 302, hop=hop).done


def test_a_head_stays_a_head_after_303() -> None:
    assert followed(asked("HEAD"), "/v2", 303).method == "HEAD"


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 399, 400])
def test_a_location_in_any_other_answer_is_not_followed(status: int) -> None:
    assert following(asked(), "/v2", status) is None


def test_no_location_means_that_this_is_the_answer() -> None:
    assert following(asked(), "") is None


def test_a_request_may_ask_for_the_redirect_itself() -> None:
    assert following(asked(follow_redirects=False), "/v2") is None


@pytest.mark.parametrize(
    "location",
    [
        "https://other.example/v1?api_key=k&page=2",
        "//other.example/v1?api_key=k&page=2",
        "https://api.example:8443/v1?api_key=k&page=2",
        "https://sub.api.example/v1?api%5Fkey=k&page=2",
    ],
)
def test_a_change_of_origin_drops_everything_that_the_credential_put_in(location: str) -> None:
    hop = followed(asked(), location)
    assert hop.headers == (("Accept", "*/*"),)
    assert hop.target.path == "/v1?page=2"


def test_a_query_of_nothing_but_the_credential_goes_whole() -> None:
    assert followed(asked(), "https://other.example/v1?api_key=k").target.path == "/v1"


def test_a_change_of_origin_drops_the_client_certificate_and_keeps_whom_to_trust() -> None:
    trusting = TlsOptions(ca_pem="authority", client_certificate_pem=b"certificate", client_key_pem=b"key")
    assert followed(asked(tls=IDENTITY), "/v2").tls == IDENTITY
    assert followed(asked(tls=IDENTITY), "https://other.example/").tls is None
    assert followed(asked(tls=trusting), "https://other.example/").tls == TlsOptions(ca_pem="authority")


def test_what_was_dropped_does_not_come_back_with_the_first_origin() -> None:
    request = asked(tls=IDENTITY)
    away = followed(request, "https://other.example/")
    back = followed(request, "https://api.example/", hop=away)
    assert (back.headers, back.tls) == ((("Accept", "*/*"),), None)


def test_an_upgrade_to_https_is_another_origin_too() -> None:
    assert followed(asked(url="http://api.example/"), "https://api.example/").headers == (("Accept", "*/*"),)


@pytest.mark.parametrize("location", ["http://api.example/v1", "http://other.example/", "HTTP://api.example:443/"])
def test_a_step_down_from_https_is_refused(location: str) -> None:
    assert "it leads from https to http (" in refusal(asked(), location)


@pytest.mark.parametrize(
    "location",
    [
        *(
            "ftp://api.example/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
            "https://:443/",
            "https://[::1/",
        ),
        *("https://u:canary@api.example/", "\\\\evil\\x", "https://api.example:0/", "https://[canary]/", "//["),
    ],
)
def test_a_location_that_is_no_usable_url_is_refused_and_not_repeated(location: str) -> None:
    assert refusal(asked(), location) == (
        "the answer 302 asks to go elsewhere, which is refused: its Location is not a usable http(s) URL"
    )


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("next", "/v1/next"),
        ("../v2", "/v2"),
        ("../../../../v2", "/v2"),
        ("?page=2", "/v1/leads?page=2"),
        ("/a#section", "/a"),
        ("/ü b", "/%C3%BC%20b"),
        ("https:/v2", "/v2"),
    ],
)
def test_a_relative_location_is_resolved_within_the_origin(location: str, path: str) -> None:
    hop = followed(asked(), location)
    assert (hop.target.host, hop.target.path) == ("api.example", path)


@pytest.mark.parametrize("location", ["https://cdn.example/", "https://eu.api.example/", "https://api.example:8443/"])
def test_redirects_lead_to_allowed_hosts_only(location: str) -> None:
    request = asked(allowed_hosts=frozenset({"cdn.example", "*.api.example"}))
    assert followed(request, location)


@pytest.mark.parametrize(
    "location", ["https://evil.example/", "https://cdn.example.evil.example/", "https://10.0.0.1/"]
)
def test_redirects_to_any_other_host_are_refused(location: str) -> None:
    told = refusal(asked(allowed_hosts=frozenset({"cdn.example"})), location)
    assert "which is not among the allowed hosts" in told


def test_a_body_that_holds_the_credential_stays_within_the_origin() -> None:
    request = asked("GET", content=b"token=t", injected=Injected(body=True))
    assert "to another origin" in refusal(request, "https://other.example/")


@pytest.mark.parametrize(
    "encode",
    [
        lambda secret: secret,
        lambda secret: secret.replace("!", "%21").replace("+", "%2B"),
        lambda secret: "".join(f"%{ord(character):02x}" for character in secret),
        lambda secret: "".join(f"%25{ord(character):02X}" for character in secret),
    ],
)
@pytest.mark.parametrize("location", ["https://other.example/v1/{}/x", "https://other.example/?renamed={}"])
def test_a_location_that_carries_a_secret_elsewhere_is_refused_however_it_is_escaped(
    location: str, encode: Callable[[str], str]
) -> None:
    LIVE_SECRETS.add("canary!redirect")
    told = refusal(asked(), location.format(encode("canary!redirect")))
    assert "it would carry a secret to another origin (https://other.example)" in told
    assert "canary" not in told

"""Where a credential goes on a request, and what it must not do there."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auth.credential import Credential
from auth.errors import Misconfigured
from auth.placement import Draft, PlacementError, place
from auth.secret import Secret
from definitions.integration import Integration
from definitions.operation import Body, FormBody, JsonBody, MultipartBody, TextBody
from definitions.urls import build_url
from net.headers import RESERVED
from net.messages import Injected

URL = "https://api.example.com/v1/leads"


def credential(where: str, name: str, value: str = "{token}", **values: str) -> Credential:
    integration = Integration.model_validate(
        {
            "kind": "integration",
            "key": "crm",
            "name": "CRM",
            "base_url": "https://api.example.com",
            "auth": {"type": "api_token", "place": [{"in": where, "name": name, "value": value}]},
        }
    )
    return Credential("id", "crm-main", integration, values={key: Secret(text) for key, text in values.items()})


def placed(where: str, name: str, secret: str, value: str = "{token}", **draft: Any) -> Draft:
    return place(credential(where, name, value, token=secret), Draft(**{"url": URL, **draft}))


def test_a_header_carries_the_filled_template() -> None:
    draft = placed("header", "Authorization", "t0k", "Bearer {token}", headers=(("Accept", "*/*"),))
    assert draft.headers == (("Accept", "*/*"), ("Authorization", "Bearer t0k"))
    assert draft.injected == Injected(headers=frozenset({"authorization"}))


def test_a_header_of_the_caller_s_own_gives_way() -> None:
    draft = placed("header", "X-Api-Key", "t0k", headers=(("x-api-key", "theirs"),))
    assert draft.headers == (("X-Api-Key", "t0k"),)


@pytest.mark.parametrize("secret", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "a\x7fb", "ключ"])
def test_what_could_split_a_header_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        placed("header", "X-Key", secret)
    assert secret not in str(caught.value)
    assert "header X-Key" in str(caught.value)
    assert "tieline accounts set-secrets crm-main" in caught.value.action


def test_a_header_of_the_connection_s_own_is_refused() -> None:
    with pytest.raises(Misconfigured, match="belongs to the connection"):
        placed("header", "Host", "evil.example.com")


def test_a_url_parameter_is_encoded_and_appended() -> None:
    draft = placed("url_parameter", "api_key", "a&b=c#d e+/%", url=f"{URL}?q=1&q=2")
    assert draft.url == f"{URL}?q=1&q=2&api_key=a%26b%3Dc%23d%20e%2B%2F%25"
    assert draft.injected == Injected(query=frozenset({"api_key"}))


def test_a_url_parameter_of_the_caller_s_own_gives_way() -> None:
    draft = placed("url_parameter", "api_key", "t0k", url=f"{URL}?api_key=theirs&q=1&api%5Fkey=again")
    assert draft.url == f"{URL}?q=1&api_key=t0k"


def test_a_json_object_takes_the_credential_as_a_member() -> None:
    draft = placed("body", "key", 'a"b', body=JsonBody(value={"name": "Ada"}))
    assert draft.body == JsonBody(value={"name": "Ada", "key": 'a"b'})
    assert draft.injected == Injected(body=True)


@pytest.mark.parametrize("kind", [FormBody, MultipartBody])
def test_a_form_takes_the_credential_as_a_field(kind: type[FormBody | MultipartBody]) -> None:
    draft = placed("body", "key", "t0k", body=kind(fields=(("name", "Ada"), ("key", "theirs"))))
    assert draft.body == kind(fields=(("name", "Ada"), ("key", "t0k")))


@pytest.mark.parametrize("body", [None, TextBody(text="x"), JsonBody(value=["x"])])
def test_a_body_that_cannot_take_the_credential_is_the_operation_s_fault(body: Body | None) -> None:
    with pytest.raises(PlacementError, match="send a JSON object, a form or multipart"):
        placed("body", "key", "t0k", body=body)


@pytest.mark.parametrize("left", ["{bot}", "%7Bbot%7D", "%7bbot%7d"])
def test_a_path_placement_fills_the_place_that_was_left_for_it(left: str) -> None:
    draft = placed("path", "bot", "1:a/b?c", "bot{token}", url=f"https://api.example.com/{left}/send?x=1")
    assert draft.url == "https://api.example.com/bot1%3Aa%2Fb%3Fc/send?x=1"
    assert draft.injected == Injected(path=True)


@pytest.mark.parametrize("secret", [".", "..", "%2e%2e", "%2E", "a\nb"])
def test_a_path_value_that_leads_elsewhere_is_refused(secret: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        placed("path", "bot", secret, url="https://api.example.com/{bot}/send")
    assert repr(secret) not in str(caught.value)


def test_a_path_without_the_place_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"neither base_url nor the operation's path holds \{bot\}"):
        placed("path", "bot", "t0k")


def test_a_cookie_joins_the_caller_s_other_cookies() -> None:
    draft = placed("cookie", "session", "t0k", headers=(("cookie", "theme=dark; session=theirs"),))
    assert draft.headers == (("Cookie", "theme=dark; session=t0k"),)
    assert draft.injected == Injected(cookies=True)


@pytest.mark.parametrize("secret", ["a;b", "a b", "a,b", 'a"b', "a\\b", "a\r\nb", "ü"])
def test_what_could_end_a_cookie_is_refused(secret: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        placed("cookie", "session", secret)
    assert secret not in str(caught.value)


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(Misconfigured, match=r"crm.*auth.place\[0\] \(header X-Key\).*\{tenant\}"):
        place(credential("header", "X-Key", "{tenant}", token="t0k"), Draft(URL))


def test_several_placements_are_made_and_remembered_together() -> None:
    integration = credential("header", "X-Key").integration
    both = integration.model_validate(
        integration.model_dump(by_alias=True)
        | {
            "auth": {
                "type": "basic",
                "place": [
                    {"in": "header", "name": "Authorization", "value": "Basic {credentials}"},
                    {"in": "url_parameter", "name": "user", "value": "{username}"},
                ],
            }
        }
    )
    values = {"credentials": Secret("YTpi"), "username": Secret("a")}
    before = Injected(headers=frozenset({"x-constant"}))
    draft = place(Credential("id", "crm-main", both, values=values), Draft(URL, injected=before))
    assert (draft.headers, draft.url) == ((("Authorization", "Basic YTpi"),), f"{URL}?user=a")
    assert draft.injected == Injected(headers=frozenset({"x-constant", "authorization"}), query=frozenset({"user"}))


def test_a_credential_and_a_draft_do_not_show_what_they_hold() -> None:
    holder = credential("url_parameter", "key", token="hunter2-secret")
    assert "hunter2" not in repr(holder) + repr(place(holder, Draft(URL)))


@given(secret=st.text())
@example(secret="\ud800")
def test_any_url_parameter_arrives_as_it_is_or_is_refused(secret: str) -> None:
    try:
        url = placed("url_parameter", "api_key", secret, url=f"{URL}?q=1").url
    except Misconfigured:
        assert not _encodable(secret)
        return
    assert url.isascii()
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [("q", "1"), ("api_key", secret)]


@given(secret=st.text())
@example(secret="\ud800")
def test_any_path_value_stays_one_segment_or_is_refused(secret: str) -> None:
    try:
        url = placed("path", "bot", secret, url="https://api.example.com/{bot}/send").url
    except Misconfigured:
        return
    segments = urlsplit(url).path.split("/")
    assert (len(segments), unquote(segments[1]), segments[2]) == (3, secret, "send")


@given(secret=st.text())
def test_any_header_value_is_one_line_of_ascii_or_is_refused(secret: str) -> None:
    try:
        draft = placed("header", "X-Key", secret)
    except Misconfigured:
        return
    assert draft.headers == (("X-Key", secret),)
    assert secret.isascii()
    assert secret.isprintable() or "\t" in secret


@given(secret=st.text())
def test_any_cookie_value_is_one_cookie_or_is_refused(secret: str) -> None:
    try:
        draft = placed("cookie", "session", secret, headers=(("Cookie", "a=b"),))
    except Misconfigured:
        return
    assert draft.headers[0][1].split("; ") == ["a=b", f"session={secret}"]


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_header_of_the_connection_carries_a_credential(name: str) -> None:
    with pytest.raises(Misconfigured, match=f"header {name.title()} belongs to the connection"):
        placed("header", name.title(), "t0k")


@pytest.mark.parametrize("secret", ["a/../b", "../../admin", "..\\x", "%252e%252e", "..;x"])
def test_a_path_value_that_a_server_could_read_as_another_directory_is_refused(secret: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        placed("path", "bot", secret, url="https://api.example.com/{bot}/send")
    assert secret not in str(caught.value)


def test_an_empty_path_value_is_refused() -> None:
    with pytest.raises(Misconfigured, match="the value is empty, which would lead to another path"):
        placed("path", "bot", "", url="https://api.example.com/{bot}/send")


def test_a_path_placement_leaves_the_query_alone() -> None:
    draft = placed("path", "bot", "t0k", url="https://api.example.com/{bot}/send?x={bot}")
    assert draft.url == "https://api.example.com/t0k/send?x={bot}"


def test_cookies_of_several_lines_become_one_line() -> None:
    headers = (("Cookie", "a=1; session=theirs"), ("Accept", "*/*"), ("cookie", "b=2"))
    draft = placed("cookie", "session", "t0k", headers=headers)
    assert draft.headers == (("Accept", "*/*"), ("Cookie", "a=1; b=2; session=t0k"))


@given(query=st.lists(st.tuples(st.sampled_from(["a", "key", "KEY", "k ey", "ü"]), st.text(max_size=5)), max_size=5))
def test_a_url_parameter_replaces_its_own_name_and_nothing_else(query: list[tuple[str, str]]) -> None:
    url = placed("url_parameter", "key", "t0k", url=build_url(URL, "", query)).url

    others = [pair for pair in query if pair[0] != "key"]
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [*others, ("key", "t0k")]
    assert url.partition("?")[0] == URL


@given(headers=st.lists(st.tuples(st.sampled_from(["Accept", "X-Key", "x-key", "X-Keys"]), st.just("v")), max_size=5))
def test_a_header_replaces_its_own_name_and_nothing_else(headers: list[tuple[str, str]]) -> None:
    draft = placed("header", "X-Key", "t0k", headers=tuple(headers))

    others = [pair for pair in headers if pair[0].lower() != "x-key"]
    assert draft.headers == (*others, ("X-Key", "t0k"))


@given(value=st.dictionaries(st.text(max_size=4), st.integers(), max_size=4), name=st.text(min_size=1, max_size=4))
def test_a_member_of_a_json_body_replaces_its_own_name_and_nothing_else(value: dict[str, Any], name: str) -> None:
    draft = placed("body", name, "t0k", body=JsonBody.model_construct(value=value))

    assert isinstance(draft.body, JsonBody)
    assert draft.body.value == {**value, name: "t0k"}
    assert draft.url == URL
    assert draft.headers == ()


@given(secret=st.text())
@example(secret='a"b\\c\r\n{token}')
def test_any_secret_fits_a_body_as_it_is(secret: str) -> None:
    draft = placed("body", "key", secret, body=FormBody(fields=(("a", "b"),)))

    assert draft.body == FormBody(fields=(("a", "b"), ("key", secret)))


@given(
    where=st.sampled_from(["header", "url_parameter", "path", "cookie"]),
    secret=st.text(min_size=3) | st.text(alphabet="\r\n\0;, .%2e/\\#?&=", min_size=3, max_size=12),
)
def test_no_place_lets_a_secret_add_a_line_a_host_or_another_part(where: str, secret: str) -> None:
    url = "https://api.example.com/{bot}/send?q=1"
    try:
        draft = placed(where, "bot", secret, url=url, headers=(("A", "b"),))
    except Misconfigured:
        return
    parts = urlsplit(draft.url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example.com", "")
    assert parts.path.count("/") == 2
    assert parts.query.split("&")[0] == "q=1"
    assert not any(set(text) & set("\r\n\0") for pair in draft.headers for text in pair)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

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


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""What a token endpoint may answer, and what is made of it."""

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.token_error import ErrorClass, TokenReplyError
from auth.token_reply import ReplyPaths, TokenReply, parse_token_reply, read_step_reply

NOW = 1_780_000_000.0
JSON = [("Content-Type", "application/json")]


def parse(body: object, status: int = 200, headers: list[tuple[str, str]] | None = None, **paths: Any) -> TokenReply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_token_reply(status, headers or JSON, content, ReplyPaths(**paths), NOW)


def refusal(body: object, status: int, headers: list[tuple[str, str]] | None = None, **paths: Any) -> TokenReplyError:
    with pytest.raises(TokenReplyError) as caught:
        parse(body, status, headers, **paths)
    return caught.value


def jwt(**claims: object) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts) + ".c2ln"


@pytest.mark.parametrize("stated", [3599.5, "3599.5", " 3599.5 "])
def test_a_lifetime_is_read_from_a_number_or_numeric_text(stated: object) -> None:
    assert parse({"access_token": "t", "expires_in": stated}).expires_at == NOW + 3599.5


@pytest.mark.parametrize(
    "stated", [b'"abc"', b"-1", b"0", b"null", b"1e400", b"9" * 5000, b"NaN", b"Infinity", b"[]", b"{}", b"true", b'""']
)
def test_a_token_is_kept_whatever_stands_where_its_lifetime_should(stated: bytes) -> None:
    reply = parse(b'{"access_token": "t", "refresh_token": "r", "expires_in": ' + stated + b"}")
    assert (reply.token, reply.refresh_token, reply.expires_at) == ("t", "r", None)


def test_a_token_without_any_lifetime_has_an_unknown_expiry() -> None:
    assert parse({"access_token": "t"}).expires_at is None


def test_a_lifetime_of_more_than_ten_years_is_a_misread_number() -> None:
    assert parse({"access_token": "t", "expires_in": NOW}).expires_at is None


def test_the_definition_says_how_long_a_token_lives_when_the_reply_does_not() -> None:
    assert parse({"access_token": "t", "expires_in": "abc"}, lifetime=3300).expires_at == NOW + 3300


def test_a_stated_lifetime_counts_before_the_definition_s() -> None:
    assert parse({"access_token": "t", "expires_in": 60}, lifetime=3300).expires_at == NOW + 60


@pytest.mark.parametrize(
    "stated",
    [
        NOW + 600,
        (NOW + 600) * 1000,
        str(int(NOW + 600)),
        datetime.fromtimestamp(NOW + 600, UTC).isoformat(),
        datetime.fromtimestamp(NOW + 600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        datetime.fromtimestamp(NOW + 600, UTC).replace(tzinfo=None).isoformat(),
    ],
)
def test_an_instant_of_expiry_is_read_in_seconds_milliseconds_or_iso_8601(stated: object) -> None:
    assert parse({"access_token": "t", "expires_at": stated}).expires_at == pytest.approx(NOW + 600)


def test_a_lifetime_in_milliseconds_is_read_as_the_definition_says() -> None:
    assert parse({"access_token": "t", "expires_in": 600_000}, expires_unit="ms").expires_at == NOW + 600


def test_an_instant_under_the_name_of_a_lifetime_is_read_as_the_definition_says() -> None:
    moment = (datetime.fromtimestamp(NOW, UTC) + timedelta(minutes=10)).isoformat()
    reply = parse({"token": "t", "validUntil": moment}, token="token", expires_in="validUntil", expires_unit="instant")
    assert reply.expires_at == pytest.approx(NOW + 600)


def test_an_instant_in_the_past_tells_nothing() -> None:
    assert parse({"access_token": "t", "expires_at": NOW - 1}).expires_at is None


def test_the_exp_of_a_jwt_is_a_hint_when_nothing_else_tells() -> None:
    assert parse({"access_token": jwt(exp=NOW + 900)}).expires_at == NOW + 900


@pytest.mark.parametrize("token", ["a.b.c", "a.!!.c", jwt(exp="soon"), jwt(), "a." + "W" * 4000 + ".c"])
def test_a_token_that_only_looks_like_a_jwt_tells_nothing(token: str) -> None:
    assert parse({"access_token": token}).expires_at is None


@pytest.mark.parametrize("body", [{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": "  "}])
def test_a_reply_without_a_refresh_token_leaves_the_previous_one(body: dict[str, object]) -> None:
    assert parse({"access_token": "t", **body}).refresh_token is None


def test_the_lifetime_of_a_refresh_token_is_read_under_both_its_names() -> None:
    assert parse({"access_token": "t", "refresh_token_expires_in": "60"}).refresh_expires_at == NOW + 60
    assert parse({"access_token": "t", "refresh_expires_in": 60}).refresh_expires_at == NOW + 60


def test_a_form_encoded_reply_is_read() -> None:
    form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
    reply = parse(b"access_token=a%2Bb&refresh_token=r&expires_in=60&scope=a+b", headers=form)
    assert (reply.token, reply.refresh_token, reply.expires_at, reply.scope) == ("a+b", "r", NOW + 60, "a b")


def test_a_reply_that_is_the_token_itself_is_read_by_the_path_of_the_whole() -> None:
    assert parse(b"the-token\n", headers=[("content-type", "text/plain")], token="@").token == "the-token"
    assert parse("the-token", token="@").token == "the-token"


def test_json_with_a_byte_order_mark_is_read() -> None:
    assert parse(b'\xef\xbb\xbf{"access_token": "t"}').token == "t"


def test_parts_are_found_by_their_paths() -> None:
    body = {"data": {"auth": {"key": "t", "again": "r"}}, "user": {"id": 42}}
    reply = parse(body, token="data.auth.key", refresh_token="data.auth.again", captures={"user": "user.id", "no": "x"})
    assert (reply.token, reply.refresh_token, reply.captured) == ("t", "r", {"user": "42"})


def test_scopes_may_come_as_a_list() -> None:
    assert parse({"access_token": "t", "scope": ["a", "b"]}).scope == "a b"


@pytest.mark.parametrize("status", [400, 403, 404, 408, 425, 429, 500, 502, 503])
def test_an_error_without_a_code_is_transient(status: int) -> None:
    error = refusal({"message": "no"}, status)
    assert (error.class_, error.code) == (ErrorClass.TRANSIENT, f"status_{status}")


def test_an_error_is_never_taken_for_a_token() -> None:
    assert refusal({"access_token": "t"}, 429).class_ is ErrorClass.TRANSIENT


def test_a_gateway_s_page_is_transient() -> None:
    page = b'<html lang="en"><body>502 Bad Gateway</body></html>'
    assert refusal(page, 502, [("content-type", "text/html")]).class_ is ErrorClass.TRANSIENT


def test_a_wait_is_read_from_the_headers_and_bounded() -> None:
    assert refusal({}, 429, [*JSON, ("Retry-After", "120")]).retry_after == 120
    assert refusal({}, 503, [*JSON, ("Retry-After", "99999999")]).retry_after == 3600


@pytest.mark.parametrize(
    ("status", "code", "class_"),
    [
        (400, "invalid_grant", ErrorClass.PERMANENT_GRANT),
        (200, "bad_refresh_token", ErrorClass.PERMANENT_GRANT),
        (200, "token_revoked", ErrorClass.PERMANENT_GRANT),
        (200, "bad_client_secret", ErrorClass.PERMANENT_CLIENT),
        (200, "some_word_of_their_own", ErrorClass.TRANSIENT),
        (200, "maintenance", ErrorClass.TRANSIENT),
        (200, "quota_exceeded", ErrorClass.TRANSIENT),
        (401, "invalid_client", ErrorClass.PERMANENT_CLIENT),
        (400, "unauthorized_client", ErrorClass.PERMANENT_CLIENT),
        (401, "Unauthorized", ErrorClass.PERMANENT_CLIENT),
        (400, "invalid_scope", ErrorClass.CONFIGURATION),
        (400, "invalid_request", ErrorClass.CONFIGURATION),
        (400, "unsupported_grant_type", ErrorClass.CONFIGURATION),
        (400, "slow_down", ErrorClass.TRANSIENT),
        (200, "temporarily_unavailable", ErrorClass.TRANSIENT),
        (400, "some_word_of_their_own", ErrorClass.TRANSIENT),
        (500, "invalid_grant", ErrorClass.TRANSIENT),
        (429, "invalid_client", ErrorClass.TRANSIENT),
    ],
)
def test_an_error_s_code_decides_who_can_help(status: int, code: str, class_: ErrorClass) -> None:
    error = refusal({"error": code}, status)
    assert (error.class_, error.code) == (class_, code)


def test_a_bare_401_is_about_the_client_or_about_the_account_whose_password_was_sent() -> None:
    assert refusal({}, 401).class_ is ErrorClass.PERMANENT_CLIENT
    assert refusal({}, 401, refused=ErrorClass.PERMANENT_GRANT).class_ is ErrorClass.PERMANENT_GRANT


def test_an_unknown_word_inside_a_200_leaves_the_grant_in_doubt_unless_a_login_can_follow() -> None:
    assert refusal({"error": "internal_error"}, 200).in_doubt
    followed = refusal({"error": "some_word"}, 200, unclear=ErrorClass.PERMANENT_GRANT)
    assert (followed.class_, followed.in_doubt) == (ErrorClass.PERMANENT_GRANT, False)


@pytest.mark.parametrize(
    ("code", "class_"),
    [("LOGIN_DENIED", ErrorClass.PERMANENT_GRANT), ("MAINTENANCE_WINDOW", ErrorClass.TRANSIENT)],
)
def test_what_the_definition_calls_an_error_is_the_account_s_unless_the_provider_has_trouble(
    code: str, class_: ErrorClass
) -> None:
    body = {"access_token": "t", "status": code}
    named = refusal(body, 200, error="status", error_wins=True, refused=ErrorClass.PERMANENT_GRANT)
    assert named.class_ is class_


def test_a_redirecting_token_endpoint_is_a_matter_of_configuration() -> None:
    assert refusal(b"", 302).class_ is ErrorClass.CONFIGURATION


def test_throttling_in_the_words_of_a_refusal_is_transient() -> None:
    body = {"error": "Access Denied", "error_description": "You have made too many requests continuously."}
    assert refusal(body, 400).class_ is ErrorClass.TRANSIENT


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": 400, "message": "Bad", "status": "INVALID_ARGUMENT"}, "INVALID_ARGUMENT"),
        ({}, "status_400"),
        (["invalid_grant"], "invalid_grant"),
        (True, "error"),
        ("x\ny " + "z" * 100, "x_y_" + "z" * 60),
    ],
)
def test_an_error_that_is_no_text_still_has_a_harmless_code(error: object, code: str) -> None:
    assert refusal({"error": error}, 400).code == code


def test_a_success_that_brings_no_token_leaves_the_grant_in_doubt() -> None:
    error = refusal(b"<html>", 200, refused=ErrorClass.PERMANENT_GRANT)
    assert (error.class_, error.in_doubt) == (ErrorClass.TRANSIENT, True)


def test_a_refresh_token_beside_an_error_is_not_lost() -> None:
    assert refusal({"refresh_token": "r", "error": "odd"}, 200).refresh_token == "r"


def test_an_error_never_shows_what_the_provider_sent() -> None:
    error = refusal({"error": "invalid_grant", "error_description": "hunter2", "refresh_token": "hunter2"}, 200)
    assert "hunter2" not in str(error) + repr(error)


def test_a_token_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(parse({"access_token": "hunter2", "refresh_token": "hunter2"}))


def test_a_step_on_the_way_passes_on_what_it_captures() -> None:
    paths = ReplyPaths(captures={"session": "session"})
    assert read_step_reply(200, JSON, b'{"session": "s"}', paths) == {"session": "s"}


@pytest.mark.parametrize(("status", "body"), [(200, b'{"error": "wrong password"}'), (500, b'{"session": "s"}')])
def test_a_step_on_the_way_that_brings_nothing_is_an_error(status: int, body: bytes) -> None:
    with pytest.raises(TokenReplyError):
        read_step_reply(status, JSON, body, ReplyPaths(captures={"session": "session"}))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    ["access_token", "refresh_token", "expires_in", "expires_at", "error", "scope", "token_type", "error_description"]
)
statuses = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 429, 500, 503])
units = st.sampled_from(["s", "ms", "instant"])


@given(body=st.binary(max_size=300), status=statuses, unit=units)
def test_no_bytes_raise_anything_but_the_one_error(body: bytes, status: int, unit: Any) -> None:
    with contextlib.suppress(TokenReplyError):
        parse_token_reply(status, JSON, body, ReplyPaths(expires_unit=unit), NOW)


@given(
    data=st.dictionaries(names, anything),
    refresh_token=st.text(min_size=1),
    status=st.sampled_from([200, 201]),
    unit=units,
)
def test_no_reply_loses_the_refresh_token_that_it_brought(
    data: dict[str, object], refresh_token: str, status: int, unit: Any
) -> None:
    content = json.dumps({**data, "refresh_token": refresh_token}).encode()
    try:
        found = parse_token_reply(status, JSON, content, ReplyPaths(expires_unit=unit), NOW).refresh_token
    except TokenReplyError as error:
        found = error.refresh_token
    assert found == (refresh_token.strip() or None)


@given(stated=anything, unit=units)
def test_an_expiry_is_unknown_or_within_ten_years(stated: object, unit: Any) -> None:
    reply = parse({"access_token": "t", "expires_in": stated, "expires_at": stated}, expires_unit=unit)
    assert reply.expires_at is None or NOW < reply.expires_at <= NOW + 10 * 365 * 86400

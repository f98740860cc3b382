"""What a run is given of an answer: bounded, clean, and free of secrets."""

import base64
import json
from typing import Any

import pytest

from activities.result import call_result
from definitions.operation import HttpOperation
from definitions.run import CallResult, Decision, RunResult
from net.messages import HttpReply
from net.redaction import LIVE_SECRETS, MASK
from net.text import UnusableBody

SECRET = 'k3y+with/"odd"&chars'
NUMBER = "7319042650"


@pytest.fixture(scope="module", autouse=True)
def _live_secrets() -> None:
    LIVE_SECRETS.add(SECRET)
    LIVE_SECRETS.add(NUMBER)


def result(
    body: bytes, media_type: str | None = "application/json", extract: str | None = None, **headers: str
) -> CallResult:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    sent += [("Content-Type", media_type)] if media_type else []
    reply = HttpReply(200, sent, body, "HTTP/1.1", 0.1, "https://x.example/")
    return call_result(reply, HttpOperation(path="x", extract=extract), account="crm-main", token_version=3, attempt=2)


def test_a_result_says_which_account_token_and_attempt_brought_it() -> None:
    found = result(b'{"a": 1}')

    assert (found.status, found.account, found.token_version, found.attempt, found.bytes) == (200, "crm-main", 3, 2, 8)


@pytest.mark.parametrize(
    ("body", "media_type", "read", "encoding"),
    [
        (b'{"a": [1, null, "x"]}', "application/json", {"a": [1, None, "x"]}, "json"),
        (b'{"a": 1}', "application/problem+json; charset=utf-8", {"a": 1}, "json"),
        (b'\xef\xbb\xbf{"a": 1}', "application/json", {"a": 1}, "json"),
        ('{"a": "ü"}'.encode("utf-16"), "application/json", {"a": "ü"}, "json"),
        (b'{"a": "\\ud800"}', "application/json", {"a": "\ufffd"}, "json"),
        (b"null", "application/json", None, "json"),
        (b"a,b", "text/csv", "a,b", "text"),
        (b"<\xfc/>", "text/xml; charset=iso-8859-1", "<ü/>", "text"),
        ("ü".encode(), None, "ü", "text"),
        (b"\x00\xff", "application/octet-stream", "AP8=", "base64"),
        (b"\xff\xfe\xfd", "text/plain", base64.b64encode(b"\xff\xfe\xfd").decode(), "base64"),
        (b"text", "text/plain; charset=rot13", base64.b64encode(b"text").decode(), "base64"),
        (b"", "application/json", None, "none"),
    ],
)
def test_a_body_is_read_as_what_it_is(body: bytes, media_type: str | None, read: Any, encoding: str) -> None:
    found = result(body, media_type)

    assert (found.body, found.encoding) == (read, encoding)


@pytest.mark.parametrize("body", [b"{", b"<html>", b'{"a": NaN}', b'{"a": Infinity}', b"\xff", b"[" * 10_000, b"1e999"])
def test_a_body_that_is_not_the_json_that_it_says_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableBody):
        result(body)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("items[*].id", [1, 2]),
        ("items[0].name", "a"),
        ("missing", None),
        ("length(items)", 2),
        ("{n: items[1].id}", {"n": 2}),
    ],
)
def test_extract_takes_a_part_of_a_json_answer(expression: str, found: Any) -> None:
    body = json.dumps({"items": [{"id": 1, "name": "a"}, {"id": 2}]}).encode()

    extracted = result(body, extract=expression)

    assert (extracted.body, extracted.encoding, extracted.bytes) == (found, "json", len(body))


def test_extract_finds_nothing_in_an_empty_answer() -> None:
    assert result(b"", extract="items").body is None


@pytest.mark.parametrize(
    "expression",
    [
        "max_by(items, &id)",
        "sort_by(items, &id)",
        'items[?id > `"x"`]',
        "items[::0]",
        "floor(`1e400`)",
        "abs(to_number('1e400'))",
        "sum([`1e308`, `1e308`])",
        "length(`1`)",
        "unknown(items)",
    ],
)
def test_an_expression_that_does_not_fit_the_answer_makes_it_unusable_and_nothing_worse(expression: str) -> None:
    with pytest.raises(UnusableBody, match="the extract expression does not fit the answer"):
        result(b'{"items": [{"id": "a"}, {"id": 1}]}', extract=expression)


@pytest.mark.parametrize(("body", "media_type"), [(b"text", "text/plain"), (b"\xff", "image/png")])
def test_extract_needs_json(body: bytes, media_type: str) -> None:
    with pytest.raises(UnusableBody, match="extract needs a JSON answer"):
        result(body, media_type, extract="a")


def test_only_headers_that_somebody_needs_are_kept() -> None:
    found = result(
        b"",
        ETag='"1"',
        Set_Cookie="session=x",
        X_RateLimit_Remaining="5",
        RateLimit="a",
        X_Request_Id="r",
        Retry_After="3",
        X_Powered_By="x",
        Authorization="y",
    )

    assert found.headers == {
        "content-type": "application/json",
        "etag": '"1"',
        "x-ratelimit-remaining": "5",
        "ratelimit": "a",
        "x-request-id": "r",
        "retry-after": "3",
    }


def test_a_header_that_comes_twice_is_one_list() -> None:
    sent = [("Link", "<a>"), ("link", "<b>")]
    reply = HttpReply(200, sent, b"", "HTTP/1.1", 0.1, "https://x.example/")

    assert call_result(reply, HttpOperation(path="x"), account="a").headers == {"link": "<a>, <b>"}


@pytest.mark.parametrize(
    "echoed",
    [
        json.dumps(SECRET),
        json.dumps(f"key is {SECRET}!"),
        '"' + "".join(f"\\u{ord(character):04x}" for character in SECRET) + '"',
        '"' + "".join(f"\\u{ord(character):04X}" for character in SECRET) + '"',
        json.dumps(SECRET).replace("+", "\\u002B").replace("&", "\\u0026").replace("/", "\\/"),
        json.dumps(base64.b64encode(f"user:{SECRET}".encode()).decode()),
        json.dumps([[{"a": SECRET}]]),
        json.dumps({SECRET: 1}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_json_that_quotes_a_secret_does_so_no_more_however_it_is_escaped(echoed: str, encoding: str) -> None:
    found = result(f'{{"ok": true, "n": 1, "echo": {echoed}}}'.encode(encoding))

    assert MASK in json.dumps(found.body)
    assert "k3y" not in json.dumps(found.body)
    assert isinstance(found.body, dict)
    assert (found.body["ok"], found.body["n"]) == (True, 1)


@pytest.mark.parametrize("number", [NUMBER, f"-{NUMBER}", f"{NUMBER}1"])
def test_a_secret_that_is_a_number_leaves_the_answer_json(number: str) -> None:
    assert result(f'{{"pin": {number}, "n": 12}}'.encode()).body == {"pin": MASK, "n": 12}


def test_what_extract_finds_is_free_of_secrets_too() -> None:
    assert result(json.dumps({"a": SECRET}).encode(), extract="a").body == MASK


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/plain", f"key={SECRET}".encode()),
        ("text/plain", b"key=k3y\\u002Bwith/\\u0022odd\\u0022\\u0026chars"),
        ("text/plain", f"key={SECRET}".encode("utf-16")),
    ],
)
def test_text_that_quotes_a_secret_does_so_no_more(media_type: str, body: bytes) -> None:
    assert result(body, media_type).body == f"key={MASK}"


def test_text_without_a_secret_keeps_its_escapes() -> None:
    assert result(b"a\\u002Bb", "text/plain").body == "a\\u002Bb"


def test_bytes_that_hold_a_secret_do_so_no_more() -> None:
    found = result(b"\x00\xff" + SECRET.encode(), "application/octet-stream")

    assert isinstance(found.body, str)
    assert base64.b64decode(found.body) == b"\x00\xff" + MASK.encode()


def test_a_header_that_quotes_a_secret_does_so_no_more() -> None:
    assert result(b"", Location="/x?k=k3y%2Bwith%2F%22odd%22%26chars").headers["location"] == f"/x?k={MASK}"


def test_a_run_s_value_is_the_answer_s_body_or_what_the_operator_put_in_its_place() -> None:
    assert RunResult(call=result(b'{"a": 1}')).value == {"a": 1}
    assert RunResult(decision=Decision(action="skip", who="ada", why="done by hand", value=[1])).value == [1]
    assert RunResult().value is None

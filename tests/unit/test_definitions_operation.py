"""What an app may say about one call."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from definitions.base import Duration
from definitions.failure_policy import FailurePolicy
from definitions.fields import Pairs, StatusPattern
from definitions.operation import (
    MAX_DEPTH,
    Delivery,
    FilePart,
    FormBody,
    HttpOperation,
    JsonBody,
    MultipartBody,
    RawBody,
    TextBody,
    delivery_of,
    status_matches,
)
from definitions.refs import CredentialRef
from definitions.run import Call, idempotency_key

DURATIONS: TypeAdapter[timedelta] = TypeAdapter(Duration)
PAIRS: TypeAdapter[tuple[tuple[str, str], ...]] = TypeAdapter(Pairs)


def operation(**fields: Any) -> HttpOperation:
    return HttpOperation.model_validate({"path": "/leads", **fields})


def fault(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        operation(**fields)
    return str(caught.value)


def call(path: str = "/leads", **fields: Any) -> Call:
    return Call(
        operation=operation(path=path, **fields),
        credential=CredentialRef(adapter="crm", profile="dev"),
        delivery=Delivery.UNSAFE,
        idempotency_key="k",
    )


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_every_method_is_taken_in_any_case(method: str) -> None:
    assert operation(method=method.lower()).method == method


@pytest.mark.parametrize("method", ["CONNECT", "BREW", "GET ", "", "GET\r\n", 5, None])
def test_other_methods_are_refused(method: Any) -> None:
    assert "'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS' or 'TRACE'" in fault(method=method)


def test_an_operation_has_sensible_limits_by_itself() -> None:
    found = operation()

    assert (found.method, found.success, found.body, found.idempotent) == ("GET", ("2xx",), None, None)
    assert (found.timeout, found.give_up_after, found.park_for) == (
        timedelta(seconds=30),
        timedelta(hours=24),
        timedelta(days=30),
    )
    assert (found.max_bytes, found.on_failure) == (1024 * 1024, FailurePolicy.FAIL)
    assert (found.answer, found.max_asset_bytes) == ("auto", 1024**3)
    assert (found.stall_after, found.transfer_timeout) == (timedelta(seconds=60), timedelta(hours=1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pth": "x"}, "Extra inputs are not permitted"),
        ({"max_bytes": 0}, "greater than 0"),
        ({"max_bytes": 17 * 1024 * 1024}, "less than or equal to 16777216"),
        ({"max_asset_bytes": 100 * 1024**3 + 1}, "less than or equal to 107374182400"),
        ({"answer": "file"}, "'auto', 'value' or 'asset'"),
        ({"answer": "asset", "extract": "a"}, "extract needs the answer as a value"),
        ({"body": {"type": "asset", "asset": {"sha256": "abc", "size": 1}}}, "should match pattern"),
        ({"body": {"type": "sftp", "adapter": "bank", "path": "../x"}}, "path"),
        ({"body": {"type": "multipart", "files": [{"name": "a", "filename": "b"}]}}, "content or an asset"),
        ({"timeout": 0}, "must be longer than zero"),
        ({"give_up_after": "-1s"}, "expected a duration such as 30s, 5m, 24h or 30d"),
        ({"extract": "a["}, "not a JMESPath expression"),
        ({"on_failure": "explode"}, "'fail' or 'park'"),
        ({"success": []}, "expected at least one status pattern"),
        ({"query": "a=b"}, "valid tuple"),
        ({"query": {"a": None}}, "valid string"),
        ({"headers": [["a"]]}, "Field required"),
        ({"body": {"type": "jsn"}}, "does not match any of the expected tags"),
        ({"body": {"type": "text", "text": "a", "media_type": "xml"}}, "expected a media type such as text/xml"),
        ({"body": {"type": "text", "text": "a", "media_type": "a/b\r\nX: y"}}, "expected a media type"),
        (
            {"body": {"type": "text", "text": "a", "media_type": "text/xml; charset=iso-8859-1"}},
            "text is sent as UTF-8",
        ),
        ({"body": {"type": "raw", "content": "a", "media_type": "a/b\r\nX: y"}}, "not base64"),
        ({"body": {"type": "raw", "content": "!!!!"}}, "not base64"),
        ({"body": {"type": "raw", "content": "", "media_type": "a/b\r\nX: y"}}, "expected a media type"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], message: str) -> None:
    assert message in fault(**fields)


@pytest.mark.parametrize(
    "fields", [{"body": {"type": "json", "value": "x" * 3, "vlue": "hunter2"}}, {"success": ["hu2"]}]
)
def test_a_message_does_not_repeat_what_it_refuses(fields: dict[str, Any]) -> None:
    assert "hunter2" not in fault(**fields)
    assert "hu2" not in fault(**fields)


@pytest.mark.parametrize(
    ("written", "pairs"),
    [
        ({}, ()),
        ({"a": "1", "b": "2"}, (("a", "1"), ("b", "2"))),
        ({"b": ["2", "1"], "a": "3"}, (("b", "2"), ("b", "1"), ("a", "3"))),
        ([["a", "1"], ["b", "2"], ["a", "3"]], (("a", "1"), ("b", "2"), ("a", "3"))),
        ({"a": []}, ()),
        ({"": ""}, (("", ""),)),
    ],
)
def test_names_with_values_may_be_written_as_is_handiest(written: Any, pairs: Any) -> None:
    assert PAIRS.validate_python(written) == pairs


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("1.5s", 1.5),
        (" 30s ", 30),
        ("5m", 300),
        ("24h", 86400),
        ("30d", 2592000),
        (timedelta(minutes=1), 60),
    ],
)
def test_a_duration_is_written_with_its_unit_or_in_seconds(written: Any, seconds: float) -> None:
    assert DURATIONS.validate_python(written) == timedelta(seconds=seconds)
    assert DURATIONS.validate_json(DURATIONS.dump_json(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        *("", "s", "5 m", "5M", "-5s", "1e3", "5w", "PT5M", "٣s", "5s5s", True, None, [5], {"m": 5}),
        *(0, "0s", -1, timedelta(0)),
        *(float("nan"), float("inf"), 10**400, "9" * 400 + "d", "99999999999d"),
    ],
)
def test_what_is_no_duration_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        DURATIONS.validate_python(written)


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("2xx", [200, 204, 299], [199, 300]),
        ("404", [404], [403, 405]),
        (404, [404], [403, 405]),
        ("200-204", [200, 202, 204], [199, 205]),
        ("599", [599], [598]),
    ],
)
def test_a_status_is_matched_by_class_number_or_range(pattern: Any, inside: list[int], outside: list[int]) -> None:
    patterns = operation(success=[pattern]).success

    assert [status_matches(status, patterns) for status in inside] == [True] * len(inside)
    assert [status_matches(status, patterns) for status in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    "pattern", ["2x", "6xx", "0xx", "2xx-3xx", "200-", "204-200", "99", "600", "20x", "", True, 20, None]
)
def test_what_is_no_status_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(StatusPattern).validate_python(pattern)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": [{"b": float("-inf")}]}])
def test_json_has_no_number_that_would_become_null_without_a_word(value: Any) -> None:
    with pytest.raises(ValidationError, match="JSON has no NaN and no infinity"):
        JsonBody(value=value)


def test_json_may_be_nested_as_deeply_as_readers_can_be_relied_on_to_take() -> None:
    assert JsonBody(value=nested(MAX_DEPTH)).value == nested(MAX_DEPTH)
    with pytest.raises(ValidationError, match="nested deeper than 64"):
        JsonBody(value=nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("content", ["aGk=", "aG\nk=", " aGk= ", b"aGk="])
def test_base64_may_have_line_breaks(content: Any) -> None:
    assert RawBody(content=content).content == b"hi"
    assert FilePart(name="a", filename="b", content=content).content == b"hi"


@pytest.mark.parametrize("content", ["aGk", "a-_=", "aGk=!", "é"])
def test_what_is_no_base64_is_refused_and_not_read_as_other_bytes(content: str) -> None:
    with pytest.raises(ValidationError):
        RawBody(content=content.encode())


@pytest.mark.parametrize(
    "body",
    [
        JsonBody(value={"b": 1, "a": [None, True, 1.5, "ü", 2**80]}),
        JsonBody(value=nested(MAX_DEPTH)),
        FormBody(fields=(("a", "1"), ("a", "2"))),
        MultipartBody(fields=(("a", "1"),), files=(FilePart(name="f", filename="f.bin", content=b"AAH/"),)),
        TextBody(text="<a/>", media_type='application/soap+xml; action="urn:x"'),
        RawBody(content=b"AAH/", media_type="application/x-thing"),
    ],
    ids=lambda body: type(body).__name__,
)
def test_a_call_survives_its_way_through_a_history(body: Any) -> None:
    sent = call(method="POST", body=body, query={"a": ["1", "2"]}, timeout="90s", extract="a.b", success=[200])

    assert Call.model_validate_json(sent.model_dump_json()) == sent


@given(content=st.binary(max_size=50))
def test_any_bytes_survive_their_way_through_a_history(content: bytes) -> None:
    body = RawBody.model_construct(content=content)

    assert RawBody.model_validate_json(body.model_dump_json()).content == content


@pytest.mark.parametrize(
    ("method", "idempotent", "header", "expected"),
    [
        ("GET", None, None, Delivery.SAFE),
        ("HEAD", None, None, Delivery.SAFE),
        ("PUT", None, None, Delivery.SAFE),
        ("DELETE", None, "Idempotency-Key", Delivery.SAFE),
        ("POST", None, None, Delivery.UNSAFE),
        ("PATCH", None, None, Delivery.UNSAFE),
        ("POST", None, "Idempotency-Key", Delivery.KEYED),
        ("PATCH", None, "Idempotency-Key", Delivery.KEYED),
        ("POST", True, None, Delivery.SAFE),
        ("POST", False, "Idempotency-Key", Delivery.KEYED),
        ("GET", False, None, Delivery.UNSAFE),
        ("PUT", False, "Idempotency-Key", Delivery.KEYED),
    ],
)
def test_what_may_be_repeated_follows_from_method_declaration_and_key(
    method: str, idempotent: bool | None, header: str | None, expected: Delivery
) -> None:
    assert delivery_of(operation(method=method, idempotent=idempotent), idempotency_header=header) is expected


@pytest.mark.parametrize(
    ("path", "summary"),
    [
        ("/leads?token=secret", "POST crm/leads · dev"),
        ("go/https://x.example", "POST crm/go/https://x.example · dev"),
        ("https://files.example/a?b=c", "POST https://files.example/a · dev"),
        ("x" * 300, f"POST crm/{'x' * 191}"),
        ("a\r\nb\u2028\x1b[31m", "POST crm/a??b??[31m · dev"),
    ],
)
def test_a_summary_says_what_is_called_and_nothing_of_the_query(path: str, summary: str) -> None:
    assert call(path, method="POST").summary == summary


def test_one_run_and_step_have_one_idempotency_key() -> None:
    assert idempotency_key("run-1") == idempotency_key("run-1", "call")
    assert len({idempotency_key("run-1"), idempotency_key("run-2"), idempotency_key("run-1", "other")}) == 3
    assert len(idempotency_key("run-1")) == 32

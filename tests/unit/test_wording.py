"""What is wrong with a request is told in the words of definitions, and never with a value of it."""

from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from gateway.problems import problem_of
from gateway.runs import StartRun

ASSET = {"sha256": "0" * 64, "size": 1}


def faults(body: Any) -> list[tuple[str, str]]:
    """As a caller is told them who sends this body."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(StartRun).validate_python(body)
    details = [{**each, "loc": ("body", *each["loc"])} for each in refused.value.errors()]
    problem = problem_of(RequestValidationError(details, body=body))
    return [(fault["place"], fault["message"]) for fault in problem.more["errors"]]


def upload(source: dict[str, Any]) -> dict[str, Any]:
    return {"adapter": "a", "type": "sftp.upload", "files": [{"source": source, "path": "x"}]}


@pytest.mark.parametrize(
    ("operation", "place", "told"),
    [
        ({"adapter": "a", "pth": "planted"}, "body.operation.pth", "unknown key; did you mean path?"),
        ({"path": "x"}, "body.operation.adapter", "is missing"),
        ({"adapter": "a", "path": 5}, "body.operation.path", "expected text: put it in quotation marks"),
        ({"adapter": "a", "path": "x", "query": {"q": {"planted": 1}}}, "body.operation.query.q", "expected text"),
        ({"adapter": "a", "path": "x", "body": {"type": "planted"}}, "body.operation.body.type", "expected one of"),
        (upload({"asset": ASSET}), "body.operation.files[0].source.type", "is missing: it says which kind of thing"),
        (upload({"type": "asset"}), "body.operation.files[0].source.asset", "is missing"),
        (
            upload({"type": "asset", "asset": {**ASSET, "sha256": "planted"}}),
            "body.operation.files[0].source.asset.sha256",
            "expected 64 hexadecimal digits (0-9, a-f)",
        ),
        (
            upload({"type": "http", "adapter": "pla nted", "path": "x"}),
            "body.operation.files[0].source.adapter",
            "expected letters and digits, - and _ within, 64 characters at most",
        ),
        (
            {"adapter": "a", "type": "sftp.mkdir", "path": "x", "permissions": "rwx"},
            "body.operation.permissions",
            "expected three or four digits 0 to 7, such as 0640",
        ),
        (
            {"adapter": "a", "type": "sftp.list", "since": "2026-03-31T08:00"},
            "body.operation.since",
            "expected an instant with its time zone",
        ),
    ],
)
def test_a_fault_is_told_by_its_place_in_the_request_and_what_was_expected_there(
    operation: dict[str, Any], place: str, told: str
) -> None:
    found = faults({"operation": operation})

    assert [each for each, _ in found if each == place] == [place]
    assert next(message for each, message in found if each == place).startswith(told)
    assert "planted" not in str(found)


def test_what_is_no_json_is_told_so() -> None:
    detail = {
        "type": "json_invalid",
        "loc": ("body", 1),
        "msg": "JSON decode error",
        "ctx": {"error": "Expecting value"},
    }
    problem = problem_of(RequestValidationError([detail], body="{planted"))
    assert problem.detail == "body: is not JSON (Expecting value)"

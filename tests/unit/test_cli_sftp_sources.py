"""What is typed behind `tieline sftp put`, as the files that it sends."""

from typing import Any

import pytest

from cli.errors import CliError, Status
from cli.sftp_sources import Answer, LocalFile, Sent, StoredAsset, to_send


def sent(*names: str, name: str | None = None, **options: list[str]) -> list[Sent]:
    everything: dict[str, Any] = {"own": [], "assets": [], "answers": [], "headers": [], **options}
    return to_send(names, name=name, **everything)


def source(path: str, query: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    return {"adapter": "crm", "path": path, "query": query or [], "headers": []}


def test_all_that_has_no_target_of_its_own_goes_where_the_last_argument_says() -> None:
    found = sent("a.csv", "./b=c.csv", "in/", own=["out/1.csv=x/y=z.csv"], assets=["12345678"], answers=["crm:export"])

    assert [(type(each), each.target) for each in found] == [
        (LocalFile, "in/"),
        (LocalFile, "in/"),
        (LocalFile, "out/1.csv"),
        (StoredAsset, "in/"),
        (Answer, "in/"),
    ]
    assert [each.file for each in found if isinstance(each, LocalFile)] == ["a.csv", "./b=c.csv", "x/y=z.csv"]


@pytest.mark.parametrize(
    ("typed", "target", "expected"),
    [
        pytest.param("crm:export", "in/", source("export"), id="a path"),
        pytest.param("crm:export?day=1&of=a=b", "in/", source("export", [("day", "1"), ("of", "a=b")]), id="a query"),
        pytest.param("out/x.csv=crm:export?day=1", "out/x.csv", source("export", [("day", "1")]), id="a target"),
        pytest.param("./a:b=crm:export", "./a:b", source("export"), id="a target with a colon"),
    ],
)
def test_a_target_before_the_answer_of_an_api_is_no_part_of_its_query(
    typed: str, target: str, expected: dict[str, Any]
) -> None:
    names = ["in/"] if target == "in/" else []

    assert sent(*names, answers=[typed]) == [Answer(expected, target)]


def test_headers_are_those_of_each_request() -> None:
    found = sent("in/", answers=["crm:a", "crm:b"], headers=["Accept=text/csv", "X-Day=a=b"])

    assert [each.planned()["headers"] for each in found] == [[("Accept", "text/csv"), ("X-Day", "a=b")]] * 2


def test_an_asset_may_have_a_target_that_holds_an_equals_sign() -> None:
    assert sent(assets=["day=1/a.csv=12345678"]) == [StoredAsset("12345678", "day=1/a.csv")]


@pytest.mark.parametrize(
    ("names", "options"),
    [
        pytest.param(["a.csv", "in/"], {}, id="a file"),
        pytest.param(["-", "in/"], {}, id="standard input"),
        pytest.param(["in/"], {"assets": ["12345678"]}, id="an asset"),
        pytest.param(["in/"], {"answers": ["crm:export"]}, id="the answer of an API"),
    ],
)
def test_the_only_file_is_called_as_was_said(names: list[str], options: dict[str, list[str]]) -> None:
    (file,) = sent(*names, name="b.csv", **options)

    planned = file.planned()
    assert planned.get("name", planned.get("asset", {}).get("name")) == "b.csv"


def test_a_name_is_that_of_standard_input_among_other_files() -> None:
    assert sent("a.csv", "-", "in/", name="b.csv") == [
        LocalFile("a.csv", "in/", "a.csv"),
        LocalFile("-", "in/", "b.csv"),
    ]


def test_standard_input_is_called_as_its_target_ends() -> None:
    assert sent(own=["in/b.csv=-"]) == [LocalFile("-", "in/b.csv", "b.csv")]


WRONG: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "nothing": ([], {}, "nothing to send"),
    "no target": (["a.csv"], {}, "TO is missing: say where a.csv goes, as the last argument"),
    "a folder alone": (["in/"], {}, "nothing to send"),
    "no target for an asset": ([], {"assets": ["12345678"]}, r"where to\? Say TO as the last argument"),
    "a target for nothing": (["in/"], {"own": ["b.csv=a.csv"]}, "nothing goes to in/: each file has a target of its"),
    "two files to one name": (["a.csv", "one"], {"assets": ["12345678"]}, "2 files cannot all be called one: name a"),
    "standard input twice": (["-", "in/"], {"own": ["a=-"]}, r"standard input \(-\) can be one file only"),
    "no name for standard input": (["-", "in/"], {}, "what it is called with --name, or at the end of TO"),
    "a template for standard input": (["-", "in/{name}"], {}, "what it is called with --name, or at the end of TO"),
    "a name for several": (["a.csv", "b.csv", "in/"], {"name": "c.csv"}, "--name is what one file is called, and"),
    "a path for a name": (["-", "in/"], {"name": "a/b"}, "--name: the name of a file holds no slash"),
    "a name of two lines": (["new\nline", "in/"], {}, "'new.nline' cannot be kept under its name: the"),
    "a file without a target": ([], {"own": ["a.csv"]}, "--file 'a.csv': expected TARGET=FILE, such as"),
    "a target without a file": ([], {"own": ["a.csv="]}, "--file 'a.csv=': expected TARGET=FILE, such as"),
    "a short hash": (["in/"], {"assets": ["1234"]}, "--asset '1234': expected SHA256, its first 8 digits at least"),
    "a hash before its target": ([], {"assets": ["12345678=in/a"]}, "expected SHA256, its first 8 digits at least, or"),
    "no path": (["in/"], {"answers": ["crm"]}, "--from 'crm': expected ADAPTER:PATH, such as"),
    "no adapter": ([], {"answers": ["in/a=:b"]}, "--from 'in/a=:b': expected ADAPTER:PATH, such as"),
    "a bad adapter": ([], {"answers": ["in/a=c r:b"]}, "--from: expected letters and digits"),
    "a file out of the root": ([], {"own": ["../a=b"]}, "--file: the path may not hold .. as a part"),
    "an asset out of the root": ([], {"assets": ["../a=12345678"]}, "--asset: the path may not hold .. as a part"),
    "an answer out of the root": ([], {"answers": ["../a=crm:b"]}, "--from: the path may not hold .. as a part"),
    "no header": (["in/"], {"answers": ["crm:a"], "headers": ["Accept"]}, "--header 'Accept': expected NAME=VALUE"),
    "a header of no request": (["a.csv", "in/"], {"headers": ["A=b"]}, "--header belongs to --from"),
}


@pytest.mark.parametrize(("names", "options", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_sent_is_told_before_anything_is_looked_at(
    names: list[str], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(CliError, match=told) as raised:
        sent(*names, **options)

    assert raised.value.status is Status.BAD_USE

"""Files of one upload that would get the same name are refused before anything is started."""

from typing import Any

import pytest
from pydantic import ValidationError

from definitions.sftp import SftpUpload


def kept(name: str, path: str) -> dict[str, Any]:
    return {"source": {"type": "asset", "asset": {"sha256": "0" * 64, "size": 1, "name": name}}, "path": path}


def answered(source_path: str, path: str, **more: Any) -> dict[str, Any]:
    return {"source": {"type": "http", "adapter": "crm", "path": source_path, **more}, "path": path}


def upload(*files: dict[str, Any], **more: Any) -> SftpUpload:
    return SftpUpload.model_validate({"type": "sftp.upload", "files": files, **more})


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([kept("a", "in/"), kept("a", "in/")], "two files of the run are to become in/a"),
        ([kept("a", "in/{name}"), kept("b", "/in//./a")], "two files of the run are to become in/a"),
        ([kept("A", "{name|lower}"), kept("b", "a")], "two files of the run are to become a"),
        ([kept("a", "{day}/"), kept("a", "{day}/{name}")], "two files of the run are to become {day}/{name}"),
        (
            [kept("x.csv", "in/"), answered("exports/x.csv?page=2", "in/")],
            "two files of the run are to become in/x.csv",
        ),
        ([answered("a", "in/", name="b"), kept("b", "in/")], "two files of the run are to become in/b"),
    ],
    ids=["one folder", "spelt otherwise", "by a filter", "of an account", "of an API", "by its own name"],
)
def test_two_files_of_one_name_are_refused(files: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        upload(*files)
    assert [fault["msg"] for fault in refused.value.errors()] == [f"Value error, {told}"]


@pytest.mark.parametrize(
    ("files", "more"),
    [
        ([kept("a", "x"), kept("b", "x.sha256")], {"checksum_file": True}),
        ([kept("a", "in/"), kept("b", "in/")], {"marker_file": "done"}),
        ([kept("a", "in/"), kept("b", "out/")], {"marker_file": "done/today"}),
        ([kept("a.done", "in/"), kept("a", "in/")], {"marker_file": "{name}.done"}),
        ([kept("a", "a")], {"marker_file": "./{name}.sha256", "checksum_file": True}),
        ([kept("a", "a")], {"marker_file": "./{name}"}),
    ],
    ids=["checksum", "marker beside", "marker elsewhere", "marker of a file", "both of one", "the file itself"],
)
def test_a_checksum_or_marker_with_the_name_of_another_is_refused(
    files: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="a checksum or marker, has the name of another file of the run"):
        upload(*files, **more)


@pytest.mark.parametrize(
    ("files", "more"),
    [
        ([kept("a", "in/"), kept("b", "in/")], {"checksum_file": True, "marker_file": "{name}.done"}),
        ([kept("a", "in/"), kept("a", "out/")], {"marker_file": "done"}),
        ([kept("a", "{day}/"), kept("a", "{month}/")], {}),
        ([kept("a", "{{day}}/"), kept("a", "{day}/")], {}),
        ([answered("list/", "in/"), answered("list/", "in/")], {}),
    ],
    ids=["two files", "two folders", "two parameters", "braces", "nobody knows"],
)
def test_files_that_differ_or_may_differ_are_taken(files: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert len(upload(*files, **more).files) == 2

"""Every path stays below the account's root folder, on a real server with links in it."""

from typing import Any

import pytest
from pydantic import ValidationError

from definitions.run import Verdict
from tests.fixtures.sftp_attempts import Attempts
from tests.fixtures.sftp_runs import upload_of

HOSTILE = ["../x", "a/../../x", "a\nb", "a\0b", "~root/x", "a\x7fb", "\ud800"]


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("type_", ["stat", "mkdir", "delete", "list"])
async def test_a_path_that_no_file_may_have_makes_no_operation(attempts: Attempts, type_: str, path: str) -> None:
    with pytest.raises(ValidationError):
        await attempts.do(type_, path=path)


@pytest.mark.parametrize("value", ["..", ".", "a/b", "a\nb", "a\0b", ""])
async def test_a_parameter_that_would_leave_its_part_of_the_path_is_refused(attempts: Attempts, value: str) -> None:
    attempts.parameters = {"customer": value}

    failure = await attempts.fails("mkdir", path="in/{customer}/today")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
    assert list(attempts.folder.iterdir()) == []


async def test_parameters_fill_paths(attempts: Attempts) -> None:
    attempts.parameters = {"customer": "acme"}

    result = await attempts.do("upload", **upload_of(await attempts.keep(b"x", "a.txt"), "in/{customer}/{name}"))

    assert result.paths == ("in/acme/a.txt",)
    assert attempts.names() == ["in/acme/a.txt"]


async def test_a_placeholder_that_nothing_fills_is_told_by_its_name(attempts: Attempts) -> None:
    failure = await attempts.fails("mkdir", path="in/{customer}")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "invalid_request")
    assert "{customer}" in failure.message


@pytest.mark.parametrize("root", ["real", "link"])
async def test_a_path_that_begins_with_the_root_itself_is_refused(attempts: Attempts, root: str) -> None:
    attempts.path("real").mkdir()
    attempts.path("link").symlink_to("real")
    attempts.root = str(attempts.path(root))

    known = {attempts.root, str(attempts.path("real"))}

    failures = [await attempts.fails("mkdir", path=f"{each}/in/today") for each in known]

    for failure in failures:
        assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
        assert "begins with the account's root folder" in failure.message
        assert failure.suggested_action.startswith("write in/today; or ")
    assert list(attempts.path("real").iterdir()) == []


@pytest.mark.parametrize("path", ["/in/today", "/{folder}/in"])
async def test_a_slash_at_the_beginning_is_the_root_of_the_account(attempts: Attempts, path: str) -> None:
    attempts.parameters = {"folder": attempts.folder.name}

    result = await attempts.do("mkdir", path=path)

    assert attempts.path(result.paths[0]).is_dir()


OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("list", {"path": "link"}),
    ("stat", {"path": "link/secret"}),
    ("exists", {"path": "link/secret"}),
    ("mkdir", {"path": "link/new"}),
    ("mkdir", {"path": "link/new/er"}),
    ("delete", {"path": "link/secret"}),
    ("move", {"path": "link/secret", "to": "mine"}),
    ("move", {"path": "own", "to": "link/theirs"}),
    ("copy", {"path": "link/secret", "to": "mine"}),
    ("copy", {"path": "own", "to": "link/"}),
    ("download", {"paths": ["link/secret"]}),
    ("download", {"paths": ["link/*"], "glob": True}),
]


@pytest.mark.parametrize(("type_", "operation"), OPERATIONS)
async def test_a_folder_that_is_a_link_out_of_the_root_leads_nowhere(
    attempts: Attempts, type_: str, operation: dict[str, Any]
) -> None:
    outside = attempts.folder.parent / f"outside-{attempts.run}"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    attempts.path("link").symlink_to(outside)
    attempts.path("own").write_bytes(b"own")

    failure = await attempts.fails(type_, **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


async def test_nothing_is_uploaded_through_a_link_out_of_the_root(attempts: Attempts) -> None:
    outside = attempts.folder.parent / f"outside-{attempts.run}"
    outside.mkdir()
    attempts.path("link").symlink_to(outside)

    failure = await attempts.fails("upload", **upload_of(await attempts.keep(b"x"), "link/deeper/"))

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
    assert list(outside.iterdir()) == []


async def test_without_rename_nothing_is_written_through_a_link_that_has_the_final_name(attempts: Attempts) -> None:
    outside = attempts.folder.parent / f"outside-{attempts.run}"
    outside.write_bytes(b"precious")
    attempts.path("file.bin").symlink_to(outside)
    attempts.modes = {"rename": False}

    failure = await attempts.fails("upload", **upload_of(await attempts.keep(b"x"), overwrite="replace"))

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
    assert outside.read_bytes() == b"precious"


async def test_a_link_that_stays_below_the_root_is_followed(attempts: Attempts) -> None:
    attempts.path("real").mkdir()
    attempts.path("link").symlink_to("real")

    result = await attempts.do("upload", **upload_of(await attempts.keep(b"x", "a.txt"), "link/"))

    assert result.paths == ("link/a.txt",)
    assert attempts.names() == ["real/a.txt"]


async def test_the_login_folder_is_the_root_where_the_account_names_none(attempts: Attempts) -> None:
    attempts.root = ""

    result = await attempts.do("exists", path=f"{attempts.folder.name}")

    assert result.exists is True


async def test_a_root_that_is_a_link_is_where_it_leads(attempts: Attempts) -> None:
    link = attempts.folder.parent / f"root-{attempts.run}"
    link.symlink_to(attempts.folder)
    attempts.root = str(link)

    await attempts.do("upload", **upload_of(await attempts.keep(b"x"), "in/"))

    assert attempts.names() == ["in/file.bin"]


async def test_a_root_that_is_not_there_is_told_and_not_made(attempts: Attempts) -> None:
    attempts.root = f"{attempts.folder}/missing"

    failure = await attempts.fails("mkdir", path="in")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "not_found")
    assert "root of the account" in failure.message
    assert list(attempts.folder.iterdir()) == []


async def test_a_long_name_has_a_temporary_name_that_fits_as_well(attempts: Attempts) -> None:
    name = "ä" * 120 + ".txt"

    await attempts.do("upload", **upload_of(await attempts.keep(b"x", name), "in/"))

    assert attempts.names() == [f"in/{name}"]

"""Checksums and markers of uploads: they overwrite nobody's files, and attest the file that they stand beside."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncssh
import pytest

from definitions.run import Verdict
from definitions.sftp import SftpUpload
from net.sftp_errors import SftpError
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut, run_to_be_cancelled
from tests.fixtures.sftp_runs import sha256, upload_of

BESIDE: dict[str, dict[str, Any]] = {
    "file.bin.sha256": {"checksum_file": True},
    "file.bin.done": {"marker_file": "{name}.done"},
}


@pytest.mark.parametrize("modes", [{}, {"rename": False}], ids=["renames", "in place"])
@pytest.mark.parametrize("name", BESIDE)
async def test_somebody_elses_file_of_the_name_of_a_checksum_or_marker_stays_and_nothing_is_sent(
    attempts: Attempts, name: str, modes: dict[str, Any]
) -> None:
    attempts.modes = modes
    attempts.path(name).write_bytes(b"somebody's")

    failure = await attempts.fails("upload", **upload_of(await attempts.keep(b"content"), **BESIDE[name]))

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert f"{name} is there already" in failure.message
    assert attempts.names() == [name]
    assert attempts.path(name).read_bytes() == b"somebody's"


@pytest.mark.parametrize("name", BESIDE)
async def test_what_came_to_have_the_name_meanwhile_stays_too(attempts: Attempts, name: str) -> None:
    def comes(*_: object) -> bool:
        attempts.path(name).write_bytes(b"somebody's")
        return False

    operation = upload_of(await attempts.keep(b"content"), **BESIDE[name])
    failure = await attempts.fails("upload", cut=Cut("write", when=comes), **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert attempts.path(name).read_bytes() == b"somebody's"


@pytest.mark.parametrize("name", BESIDE)
async def test_a_checksum_or_marker_is_replaced_where_its_file_may_be(attempts: Attempts, name: str) -> None:
    attempts.path(name).write_bytes(b"an older one")

    await attempts.do("upload", **upload_of(await attempts.keep(b"content"), overwrite="replace", **BESIDE[name]))

    assert attempts.names() == ["file.bin", name]
    assert attempts.path(name).read_bytes() in (b"", f"{sha256(b'content')}  file.bin\n".encode())


@pytest.mark.parametrize("modes", [{}, {"rename": False}], ids=["renames", "in place"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("method", "is_it"),
    [
        ("rename", lambda *paths: paths[-1].endswith(".sha256")),
        ("rename", lambda *paths: paths[-1].endswith("file.bin")),
        ("write", lambda *paths: ".sha256" in paths[0]),
        ("write", lambda *paths: paths[0].endswith(".done")),
    ],
    ids=["checksum-name", "file-name", "checksum", "marker"],
)
async def test_a_line_lost_at_a_checksum_or_marker_leaves_one_of_each(
    attempts: Attempts, method: str, is_it: Callable[..., bool], after: bool, modes: dict[str, Any]
) -> None:
    attempts.modes = modes
    operation = upload_of(await attempts.keep(b"content"), checksum_file=True, marker_file="{name}.done")
    cut = Cut(method, after=after, when=is_it)
    if modes and method == "rename":
        cut = Cut("stat", after=after)
    await attempts.fails("upload", cut=cut, **operation)

    await attempts.do("upload", attempt=2, **operation)

    assert attempts.names() == ["file.bin", "file.bin.done", "file.bin.sha256"]
    assert attempts.path("file.bin.sha256").read_bytes() == f"{sha256(b'content')}  file.bin\n".encode()


@pytest.mark.parametrize(("theirs", "left"), [(b"their content", []), (b"content", ["file.bin.sha256"])])
async def test_a_checksum_does_not_stay_beside_the_file_of_a_run_that_was_quicker(
    attempts: Attempts, theirs: bytes, left: list[str]
) -> None:
    def comes(*paths: str) -> bool:
        if paths[-1].endswith("file.bin"):
            attempts.path("file.bin").write_bytes(theirs)
        return False

    operation = upload_of(await attempts.keep(b"content"), checksum_file=True)
    failure = await attempts.fails("upload", cut=Cut("rename", when=comes), **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert attempts.names() == ["file.bin", *left]
    assert attempts.path("file.bin").read_bytes() == theirs


@pytest.mark.parametrize(
    ("paths", "more"),
    [
        (["in/a", "link/a"], {}),
        (["in/a", "link/a.sha256"], {"checksum_file": True}),
        (["in/a", "link/a.done"], {"marker_file": "{name}.done"}),
    ],
    ids=["files", "checksum", "marker"],
)
async def test_no_name_is_given_to_two_files_of_a_run_by_a_link_on_the_server(
    attempts: Attempts, paths: list[str], more: dict[str, Any]
) -> None:
    attempts.path("in").mkdir()
    attempts.path("link").symlink_to("in")
    source = {"type": "asset", "asset": await attempts.keep(b"content")}
    files = [{"source": source, "path": path} for path in paths]

    failure = await attempts.fails("upload", files=files, **more)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "invalid_request")
    assert list(attempts.path("in").iterdir()) == []


@pytest.mark.parametrize("more", [{"marker_file": "{name}"}, {"marker_file": "{name}.sha256", "checksum_file": True}])
async def test_a_marker_that_would_take_the_place_of_what_it_marks_is_no_operation(
    attempts: Attempts, more: dict[str, Any]
) -> None:
    operation = upload_of(await attempts.keep(b"content"), **more)

    with pytest.raises(ValueError, match="marker_file"):
        SftpUpload.model_validate({"type": "sftp.upload", **operation})


@pytest.mark.parametrize("overwrite", ["fail", "replace"])
async def test_a_marker_that_cannot_be_written_fails_with_the_word_that_the_file_is_there(
    attempts: Attempts, overwrite: str
) -> None:
    def comes(*_: object) -> bool:
        attempts.path("file.bin.done/full").mkdir(parents=True, exist_ok=True)
        return False

    operation = upload_of(await attempts.keep(b"content"), marker_file="{name}.done", overwrite=overwrite)
    failure = await attempts.fails("upload", cut=Cut("rename", when=comes), **operation)
    attempts.path("file.bin.done/full").rmdir()
    attempts.path("file.bin.done").rmdir()
    again = await attempts.do("upload", attempt=2, **operation)

    assert "file.bin has its final name, and its marker file.bin.done is missing" in failure.message
    assert again.sha256 == sha256(b"content")
    assert attempts.names() == ["file.bin", "file.bin.done"]


async def test_the_checksum_of_a_file_that_has_arrived_stays_where_its_marker_cannot_be_written(
    troubled: Attempts,
) -> None:
    troubled.modes = {"moves_on_arrival": True}

    def taken(path: str, *_: object) -> bool:
        if path.endswith(".done"):
            troubled.path("file.bin").unlink()
            raise SftpError("permission_denied", "no")
        return False

    operation = upload_of(await troubled.keep(b"content"), checksum_file=True, marker_file="{name}.done")
    failure = await troubled.fails("upload", cut=Cut("write", when=taken), **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "permission_denied")
    assert troubled.names() == ["file.bin.sha256"]


@pytest.mark.parametrize(("there", "left"), [(None, []), (b"old", ["file.bin"])], ids=["none", "another"])
@pytest.mark.parametrize("ends", ["refused", "later", "cancelled"])
async def test_a_checksum_does_not_attest_what_was_not_published(
    troubled: Attempts, faulty: FaultySftp, there: bytes | None, left: list[str], ends: str
) -> None:
    if there is not None:
        troubled.path("file.bin").write_bytes(there)
    operation = upload_of(await troubled.keep(b"content"), overwrite="replace", checksum_file=True)

    await end_before_it_is_published(troubled, faulty, ends, operation)

    assert troubled.names() == left


async def end_before_it_is_published(
    attempts: Attempts, faulty: FaultySftp, ends: str, operation: dict[str, Any]
) -> None:
    """With the checksum in its place: by the server, by a later attempt that cannot go on, or by somebody."""

    def refuse(_: str, target: str) -> bool:
        if target.endswith("file.bin"):
            faulty.refuse["rename"] = asyncssh.SFTPPermissionDenied("no")
        return False

    def full(*_: object) -> bool:
        raise SftpError("no_space", "no space left")

    if ends == "cancelled":
        checksum = Cut("rename", when=lambda _, target: target.endswith(".sha256"))
        with pytest.raises(asyncio.CancelledError):
            await run_to_be_cancelled(attempts, "upload", checksum, operation)
        return
    last = Cut("rename", when=refuse)
    if ends == "later":
        lost = Cut("rename", when=lambda _, target: target.endswith("file.bin"))
        await attempts.fails("upload", cut=lost, **operation)
        last = Cut("write", when=full)
    failure = await attempts.fails("upload", attempt=2, cut=last, **operation)
    assert failure.verdict is Verdict.FINAL

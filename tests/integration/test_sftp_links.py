"""Symbolic links on a server that lead out of the account's root folder: nothing is written through them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activities.sftp_places import temporary_name
from definitions.run import Verdict
from net.sftp import SftpSession
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import upload_of


@dataclass(frozen=True, slots=True)
class Victim:
    """A file outside of the root, which the server's user may write."""

    path: Path

    def linked_from(self, link: Path) -> None:
        link.symlink_to(self.path)

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    return Victim(path)


@pytest.mark.parametrize("overwrite", ["fail", "replace"])
async def test_a_link_of_the_name_of_a_marker_leads_nothing_elsewhere(
    attempts: Attempts, victim: Victim, overwrite: str
) -> None:
    def planted(*_: object) -> bool:
        victim.linked_from(attempts.path("file.bin.done"))
        return False

    operation = upload_of(await attempts.keep(b"content"), marker_file="{name}.done", overwrite=overwrite)
    if overwrite == "fail":
        failure = await attempts.fails("upload", cut=Cut("rename", when=planted), **operation)
        assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    else:
        await attempts.do("upload", cut=Cut("rename", when=planted), **operation)
        assert not attempts.path("file.bin.done").is_symlink()

    assert victim.content == b"precious"


@pytest.mark.parametrize("modes", [{}, {"rename": False}], ids=["renames", "in place"])
async def test_a_link_where_a_checksum_is_written_leads_nothing_elsewhere(
    attempts: Attempts, victim: Victim, modes: dict[str, Any]
) -> None:
    attempts.modes = modes
    part = temporary_name("file.bin.sha256", f"{attempts.run}/0")
    victim.linked_from(attempts.path("file.bin.sha256" if modes else part))

    operation = upload_of(await attempts.keep(b"content"), checksum_file=True, overwrite="replace")
    await attempts.do("upload", **operation)

    assert victim.content == b"precious"
    assert attempts.names() == ["file.bin", "file.bin.sha256"]
    assert not attempts.path("file.bin.sha256").is_symlink()


async def test_a_copy_in_place_is_not_written_through_a_link_out_of_the_root(
    attempts: Attempts, victim: Victim
) -> None:
    attempts.modes = {"rename": False}
    attempts.path("a").write_bytes(b"new")
    victim.linked_from(attempts.path("b"))

    failure = await attempts.fails("copy", path="a", to="b", overwrite="replace")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "bad_path")
    assert victim.content == b"precious"


async def test_a_copy_in_place_through_a_link_to_its_own_source_is_refused(attempts: Attempts) -> None:
    attempts.modes = {"rename": False}
    attempts.path("a").write_bytes(b"precious")
    attempts.path("b").symlink_to("a")

    failure = await attempts.fails("copy", path="a", to="b", overwrite="replace")

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "invalid_request")
    assert attempts.path("a").read_bytes() == b"precious"


@pytest.mark.parametrize("offered", [True, False], ids=["by the server", "through here"])
async def test_a_link_planted_where_a_copy_is_written_leads_nothing_elsewhere(
    attempts: Attempts, victim: Victim, monkeypatch: pytest.MonkeyPatch, offered: bool
) -> None:
    async def offers_none(*_: object, **__: object) -> bool:
        return False

    def planted(*paths: str) -> bool:
        victim.linked_from(Path(paths[-1]))
        return False

    if not offered:
        monkeypatch.setattr(SftpSession, "copy", offers_none)
    attempts.path("a").write_bytes(b"new")

    failure = await attempts.fails("copy", path="a", to="b", cut=Cut("copy", when=planted))

    assert failure.category == "already_exists"
    assert victim.content == b"precious"


async def test_a_file_that_came_to_where_a_copy_is_written_in_place_stays(attempts: Attempts) -> None:
    def comes(*paths: str) -> bool:
        Path(paths[-1]).write_bytes(b"somebody's")
        return False

    attempts.modes = {"rename": False}
    attempts.path("a").write_bytes(b"new")

    failure = await attempts.fails("copy", path="a", to="b", cut=Cut("copy", when=comes))

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert attempts.path("b").read_bytes() == b"somebody's"


@pytest.mark.parametrize(("overwrite", "skipped"), [("replace", False), ("skip_if_same", True)])
async def test_a_copy_in_place_does_not_empty_its_source_under_another_spelling(
    troubled: Attempts, faulty: FaultySftp, overwrite: str, skipped: bool
) -> None:
    faulty.folds_case, troubled.modes = True, {"rename": False}
    troubled.path("report").write_bytes(b"precious")
    operation: dict[str, Any] = {"path": "report", "to": "REPORT", "overwrite": overwrite}

    if skipped:
        assert (await troubled.do("copy", **operation)).files[0].skipped
    else:
        assert (await troubled.fails("copy", **operation)).category == "already_exists"

    assert troubled.path("report").read_bytes() == b"precious"

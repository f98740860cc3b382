"""Uploads to a real OpenSSH server: what stands there when, and what an attempt makes of what an earlier one left."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from activities.parking import CallFailed
from activities.sftp_places import temporary_name
from activities.sftp_task import AT_ONCE
from definitions.run import Verdict
from tests.fixtures.sftp_attempts import Attempts, Cut
from tests.fixtures.sftp_runs import sha256, upload_of

BIG = 6_000_000


@pytest.fixture(scope="module")
def content() -> bytes:
    """More than all writes under way together, and no part like another."""
    return b"".join(hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(BIG // 32))


async def cut_off(attempts: Attempts, cut: Cut, **operation: Any) -> None:
    """An attempt whose line breaks at this point."""
    with pytest.raises(CallFailed) as raised:
        await attempts.do("upload", cut=cut, **operation)
    assert (raised.value.failure.verdict, raised.value.failure.category) == (Verdict.AGAIN, "connection_lost")


EARLIER = "0123abcd"


def part(attempts: Attempts, name: str, index: int = 0) -> Path:
    """What an attempt before the first one of the test has left."""
    return attempts.path(temporary_name(name, f"{attempts.run}/{index}", EARLIER))


def begun(offset: int | None = None, size: int = BIG) -> dict[str, Any]:
    """What that attempt told: that it writes, and how far it was."""
    if offset is None:
        return {"begun": [EARLIER]}
    return {"begun": [EARLIER], "files": {"0": {"phase": "writing", "part": EARLIER, "offset": offset, "size": size}}}


async def test_the_final_name_is_given_to_a_whole_file_and_nothing_else_stays(
    attempts: Attempts, content: bytes
) -> None:
    asset = await attempts.keep(content)

    result = await attempts.do("upload", **upload_of(asset, "out/{name}"))

    assert attempts.path("out/file.bin").read_bytes() == content
    assert attempts.names() == ["out/file.bin"]
    assert (result.sha256, result.bytes, result.files[0].verified) == (sha256(content), len(content), "acknowledged")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("overwrite", ["fail", "replace"])
async def test_a_line_lost_in_the_rename_leaves_one_final_file_of_the_right_content(
    attempts: Attempts, content: bytes, overwrite: str, after: bool
) -> None:
    if overwrite == "replace":
        attempts.path("file.bin").write_bytes(b"old")
    operation = upload_of(await attempts.keep(content), overwrite=overwrite)
    await cut_off(attempts, Cut("rename", after=after), **operation)

    await attempts.do("upload", attempt=2, **operation)

    assert attempts.path("file.bin").read_bytes() == content
    assert attempts.names() == ["file.bin"]


async def test_a_file_that_has_its_name_already_is_not_sent_again(attempts: Attempts, content: bytes) -> None:
    operation = upload_of(await attempts.keep(content))
    await cut_off(attempts, Cut("rename", after=True), **operation)
    inode = attempts.path("file.bin").stat().st_ino

    result = await attempts.do("upload", attempt=2, **operation)

    assert attempts.path("file.bin").stat().st_ino == inode
    assert result.sha256 == sha256(content)


async def test_a_file_that_somebody_else_put_there_meanwhile_is_not_taken_for_ours(
    attempts: Attempts, content: bytes
) -> None:
    operation = upload_of(await attempts.keep(content))
    await cut_off(attempts, Cut("rename"), **operation)
    attempts.path(attempts.names()[0]).unlink()
    attempts.path("file.bin").write_bytes(b"x" * len(content))

    failure = await attempts.fails("upload", attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert attempts.path("file.bin").read_bytes() == b"x" * len(content)


async def test_when_both_names_are_gone_a_person_decides(attempts: Attempts, content: bytes) -> None:
    """Somebody took it, or somebody tidied up: sending it again could make two of it."""
    operation = upload_of(await attempts.keep(content))
    await cut_off(attempts, Cut("rename", after=True), **operation)
    attempts.path("file.bin").unlink()

    failure = await attempts.fails("upload", attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.UNKNOWN, "outcome_unknown")
    assert attempts.names() == []


async def test_an_attempt_goes_on_where_the_one_before_was_acknowledged_and_reads_all_of_it_back(
    attempts: Attempts, content: bytes
) -> None:
    operation = upload_of(await attempts.keep(content))
    part(attempts, "file.bin").write_bytes(content[:5_000_000])
    attempts.told = begun(4_900_000)

    result = await attempts.do("upload", attempt=2, **operation)

    assert (result.resumed_from, result.files[0].verified) == (4_900_000, "read_back")
    assert attempts.path("file.bin").read_bytes() == content
    assert attempts.names() == ["file.bin"]


async def test_without_heartbeats_it_goes_on_before_all_that_was_under_way(attempts: Attempts, content: bytes) -> None:
    operation = upload_of(await attempts.keep(content))
    part(attempts, "file.bin").write_bytes(content[:5_000_000])
    attempts.told = begun()

    result = await attempts.do("upload", attempt=2, **operation)

    assert result.resumed_from == 5_000_000 - 16 * 255 * 1024
    assert attempts.path("file.bin").read_bytes() == content


async def test_a_gap_among_the_writes_under_way_is_filled(attempts: Attempts, content: bytes) -> None:
    """The last of 16 writes may be there and the first one not."""
    operation = upload_of(await attempts.keep(content))
    gap = bytearray(content[:5_000_000])
    gap[1_000_000:1_255_000] = bytes(255_000)
    part(attempts, "file.bin").write_bytes(gap)
    attempts.told = begun()

    await attempts.do("upload", attempt=2, **operation)

    assert attempts.path("file.bin").read_bytes() == content


async def test_a_gap_further_back_is_found_by_reading_back_and_the_file_is_sent_anew(
    attempts: Attempts, content: bytes
) -> None:
    operation = upload_of(await attempts.keep(content))
    gap = bytearray(content[:5_000_000])
    gap[1000:2000] = bytes(1000)
    part(attempts, "file.bin").write_bytes(gap)
    attempts.told = begun()
    failure = await attempts.fails("upload", attempt=2, **operation)

    result = await attempts.do("upload", attempt=3, **operation)

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "content_differs")
    assert result.resumed_from == 0
    assert attempts.path("file.bin").read_bytes() == content
    assert attempts.names() == ["file.bin"]


async def test_what_differs_before_the_place_of_going_on_is_sent_anew(attempts: Attempts, content: bytes) -> None:
    operation = upload_of(await attempts.keep(content))
    part(attempts, "file.bin").write_bytes(b"x" * 5_000_000)
    attempts.told = begun(4_900_000)

    result = await attempts.do("upload", attempt=2, **operation)

    assert result.resumed_from == 0
    assert attempts.path("file.bin").read_bytes() == content


async def test_a_link_under_the_temporary_name_is_not_written_through(attempts: Attempts, content: bytes) -> None:
    victim = attempts.folder.parent / f"{attempts.run}.txt"
    victim.write_bytes(b"precious")
    part(attempts, "file.bin").symlink_to(victim)
    attempts.told = begun()

    await attempts.do("upload", **upload_of(await attempts.keep(content)))

    assert victim.read_bytes() == b"precious"
    assert attempts.path("file.bin").read_bytes() == content


async def test_a_file_that_is_there_is_refused_by_default_and_left_as_it_is(attempts: Attempts) -> None:
    attempts.path("file.bin").write_bytes(b"theirs")

    failure = await attempts.fails("upload", **upload_of(await attempts.keep(b"ours")))

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert "file.bin" in failure.message
    assert attempts.path("file.bin").read_bytes() == b"theirs"
    assert attempts.names() == ["file.bin"]


async def test_a_file_that_appears_during_the_upload_is_not_replaced_either(attempts: Attempts) -> None:
    operation = upload_of(await attempts.keep(b"ours"))
    await cut_off(attempts, Cut("rename"), **operation)
    attempts.path("file.bin").write_bytes(b"theirs")

    failure = await attempts.fails("upload", attempt=2, **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert attempts.path("file.bin").read_bytes() == b"theirs"
    assert attempts.names() == ["file.bin"]


async def test_a_file_that_appears_just_before_the_rename_is_not_replaced(attempts: Attempts) -> None:
    renames = 0

    def appears(*_: Any) -> bool:
        nonlocal renames
        renames += 1
        if renames == 1:
            attempts.path("file.bin").write_bytes(b"theirs")
        return False

    operation = upload_of(await attempts.keep(b"ours"))
    failure = await attempts.fails("upload", cut=Cut("rename", when=appears), **operation)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert attempts.path("file.bin").read_bytes() == b"theirs"
    assert attempts.names() == ["file.bin"]


@pytest.mark.parametrize(("there", "skipped"), [(b"same", True), (b"diff", False), (b"longer", False)])
async def test_skip_if_same_compares_content_and_not_only_sizes(
    attempts: Attempts, there: bytes, skipped: bool
) -> None:
    attempts.path("file.bin").write_bytes(there)
    inode = attempts.path("file.bin").stat().st_ino

    result = await attempts.do("upload", **upload_of(await attempts.keep(b"same"), overwrite="skip_if_same"))

    assert result.files[0].skipped is skipped
    assert attempts.path("file.bin").read_bytes() == b"same"
    assert (attempts.path("file.bin").stat().st_ino == inode) is skipped


async def test_a_checksum_is_published_before_its_file_and_a_marker_after(attempts: Attempts) -> None:
    operation = upload_of(await attempts.keep(b"content"), checksum_file=True, marker_file="{name}.done")
    await cut_off(attempts, Cut("rename", number=2), **operation)
    before = [name for name in attempts.names() if not name.startswith(".")]
    await cut_off(attempts, Cut("rename", number=3, after=True), attempt=2, **operation)
    between = attempts.names()

    await attempts.do("upload", attempt=3, **operation)

    assert before == ["file.bin.sha256"]
    assert between == ["file.bin", "file.bin.sha256"]
    assert attempts.names() == ["file.bin", "file.bin.done", "file.bin.sha256"]
    assert attempts.path("file.bin.sha256").read_text() == f"{sha256(b'content')}  file.bin\n"


async def test_permissions_and_time_are_there_when_the_file_is_seen(attempts: Attempts) -> None:
    when = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)

    await attempts.do("upload", **upload_of(await attempts.keep(b"x"), permissions="0640", modified_at=when))

    status = attempts.path("file.bin").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o640, when.timestamp())


async def test_an_unfinished_file_stands_in_the_folder_that_the_integration_names(
    attempts: Attempts, content: bytes
) -> None:
    attempts.modes = {"temporary_folder": "unfinished"}
    operation = upload_of(await attempts.keep(content), "out/")
    await cut_off(attempts, Cut("rename"), **operation)
    unfinished = attempts.names()

    await attempts.do("upload", attempt=2, **operation)

    assert [name.partition("/")[0] for name in unfinished] == ["unfinished"]
    assert attempts.names() == ["out/file.bin"]


async def test_without_rename_a_file_goes_on_under_its_final_name(attempts: Attempts, content: bytes) -> None:
    attempts.modes = {"rename": False}
    operation = upload_of(await attempts.keep(content))
    await cut_off(attempts, Cut("write"), **operation)
    attempts.path("file.bin").write_bytes(content[:5_000_000])
    attempts.told = {"files": {"0": {"phase": "writing", "offset": 4_900_000, "size": BIG}}}

    result = await attempts.do("upload", attempt=2, **operation)

    assert result.resumed_from == 4_900_000
    assert attempts.path("file.bin").read_bytes() == content
    assert "seen under its final name before it was whole" in result.notes[0]


async def test_without_rename_a_checksum_stands_beside_the_file_all_the_same(attempts: Attempts) -> None:
    attempts.modes = {"rename": False}

    await attempts.do("upload", cut=Cut("rename"), **upload_of(await attempts.keep(b"content"), checksum_file=True))

    assert attempts.names() == ["file.bin", "file.bin.sha256"]


async def test_without_rename_a_foreign_file_is_neither_replaced_nor_removed(attempts: Attempts) -> None:
    attempts.modes = {"rename": False}
    attempts.path("file.bin").write_bytes(b"theirs")

    failure = await attempts.fails("upload", **upload_of(await attempts.keep(b"ours")))

    assert failure.category == "already_exists"
    assert attempts.path("file.bin").read_bytes() == b"theirs"


async def test_a_server_that_takes_files_away_on_arrival_gets_each_once(attempts: Attempts, content: bytes) -> None:
    attempts.modes = {"moves_on_arrival": True}
    operation = upload_of(await attempts.keep(content))
    await cut_off(attempts, Cut("rename", after=True), **operation)
    attempts.path("file.bin").unlink()

    result = await attempts.do("upload", attempt=2, **operation)

    assert (result.bytes, result.sha256) == (len(content), sha256(content))
    assert attempts.names() == []


async def test_many_files_go_up_and_a_second_attempt_sends_only_what_is_left(attempts: Attempts) -> None:
    assets = [await attempts.keep(f"content {index}".encode(), f"{index:03}.txt") for index in range(60)]
    files = [{"source": {"type": "asset", "asset": asset}, "path": "out/"} for asset in assets]
    with pytest.raises(CallFailed):
        await attempts.do("upload", cut=Cut("rename", number=41), files=files)
    done = {name: attempts.path(name).stat().st_ino for name in attempts.names() if not name.startswith("out/.")}

    result = await attempts.do("upload", attempt=2, files=files)

    assert len(done) >= 41 - AT_ONCE
    assert attempts.names() == [f"out/{index:03}.txt" for index in range(60)]
    assert done == {name: attempts.path(name).stat().st_ino for name in done}
    assert [each.sha256 for each in result.files] == [asset.sha256 for asset in assets]


async def test_after_a_failure_for_good_no_unfinished_file_stays(attempts: Attempts, content: bytes) -> None:
    operation = upload_of(await attempts.keep(content), checksum_file=True)
    await cut_off(attempts, Cut("rename"), **operation)
    attempts.path("file.bin").mkdir()
    unfinished = attempts.names()

    failure = await attempts.fails("upload", attempt=2, **operation)

    assert len(unfinished) == 2
    assert failure.verdict is Verdict.FINAL
    assert attempts.names() == []


async def test_an_asset_that_is_gone_is_told_as_that(attempts: Attempts) -> None:
    asset = (await attempts.keep(b"x")).model_copy(update={"sha256": "0" * 64})

    failure = await attempts.fails("upload", **upload_of(asset))

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "asset_missing")
    assert attempts.names() == []


async def test_among_many_files_one_that_is_there_is_refused_and_left_as_it_is(attempts: Attempts) -> None:
    assets = [await attempts.keep(f"{index}".encode(), f"{index:02}.txt") for index in range(20)]
    files = [{"source": {"type": "asset", "asset": asset}, "path": "./"} for asset in assets]
    attempts.path("07.txt").write_bytes(b"theirs")

    failure = await attempts.fails("upload", files=files)

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "already_exists")
    assert "07.txt" in failure.message
    assert attempts.path("07.txt").read_bytes() == b"theirs"
    assert not [name for name in attempts.names() if name.endswith(".part")]


async def test_many_files_cost_few_looks(attempts: Attempts) -> None:
    """A look takes as long as sending a small file does."""
    assets = [await attempts.keep(f"{index}".encode(), f"{index:02}.txt") for index in range(20)]
    files = [{"source": {"type": "asset", "asset": asset}, "path": "in/"} for asset in assets]
    looks = Cut("lstat", number=0)

    await attempts.do("upload", cut=looks, files=files)

    assert looks.seen == 0

"""Files that go up, down and elsewhere through real runs: real Temporal, a real worker, a real OpenSSH server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState

from definitions.run import AnyCall, Decision, RunResult
from net.sftp import SftpSession
from net.sftp_errors import SftpError
from runtime.runs import RunCancelled, RunFailed
from tests.fixtures.sftp_runs import SftpWorld, aged, sha256, upload_of
from tests.fixtures.waiting import until
from workflows.run import RunWorkflow


async def test_an_asset_arrives_whole_under_its_final_name_alone(sftp_world: SftpWorld, some_bytes: bytes) -> None:
    asset = await sftp_world.keep(some_bytes)

    result = await sftp_world.do("upload", **upload_of(asset, "in/march/", make_folders=True))

    assert sftp_world.names() == ["in/march/file.bin"]
    assert (sftp_world.folder / "in/march/file.bin").read_bytes() == some_bytes
    assert (result.paths, result.bytes, result.sha256) == (("in/march/file.bin",), len(some_bytes), sha256(some_bytes))
    assert (result.account, result.attempt, result.resumed_from, result.notes) == ("bank", 1, 0, ())


async def test_a_run_that_waited_for_a_decision_sends_only_what_is_left(sftp_world: SftpWorld) -> None:
    large = 1024 * 1024 + 1  # which goes alone, after the other
    assets = [await sftp_world.keep(b"x" * size, f"{size}.bin") for size in (1, large)]
    files = [{"source": {"type": "asset", "asset": asset}, "path": f"{asset.size}/"} for asset in assets]
    blocked = sftp_world.folder / f"{large}"
    blocked.write_bytes(b"a file where a folder should be")
    started = await sftp_world.start("upload", files=files, on_failure="park")
    await until(lambda: waits(sftp_world, started.id), limit=30)
    blocked.unlink()

    await sftp_world.tieline.runs.decide(started.id, Decision(action="retry", who="ann", why="it is a folder now"))

    result = await sftp_world.result(started.id)
    assert result.paths == ("1/1.bin", f"{large}/{large}.bin")
    assert sftp_world.names() == ["1/1.bin", f"{large}/{large}.bin"]


async def test_files_come_back_as_assets_and_leave_the_server(sftp_world: SftpWorld) -> None:
    (sftp_world.folder / "out").mkdir()
    for index in range(3):
        (sftp_world.folder / f"out/{index}.csv").write_bytes(b"x" * index)
    aged(sftp_world.folder / "out")

    result = await sftp_world.do("download", paths=["out/*.csv"], glob=True, after="delete")

    assets = [file.asset for file in result.files if file.asset is not None]
    assert [await sftp_world.content(asset) for asset in assets] == [b"", b"x", b"xx"]
    assert sftp_world.names() == []


async def waits(world: SftpWorld, run_id: str) -> bool:
    return (await world.tieline.runs.show(run_id))[0].state == "waiting_for_decision"


async def test_a_cancelled_upload_has_taken_away_what_it_sent_before_its_run_ends(
    sftp_world: SftpWorld, some_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, begun = SftpSession.write, asyncio.Event()

    async def never_ends(session: SftpSession, path: str, chunks: AsyncIterator[bytes], **options: Any) -> int:
        async def first_and_no_more() -> AsyncIterator[bytes]:
            yield await anext(chunks)
            begun.set()
            await asyncio.Event().wait()

        return await write(session, path, first_and_no_more(), **options)

    monkeypatch.setattr(SftpSession, "write", never_ends)
    run_id = (await sftp_world.start("upload", **upload_of(await sftp_world.keep(some_bytes)))).id
    async with asyncio.timeout(30):
        await begun.wait()
    await until(lambda: any(name.endswith(".part") for name in sftp_world.names()))

    await sftp_world.tieline.runs.cancel(run_id)
    with pytest.raises(RunCancelled):
        await sftp_world.tieline.runs.result(run_id, timeout=timedelta(seconds=30))
    assert sftp_world.names() == []


@pytest.mark.parametrize("ending", ["cancelled", "given up"])
async def test_a_run_that_ends_between_two_attempts_leaves_nothing_on_the_server(
    sftp_world: SftpWorld, some_bytes: bytes, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    async def breaks(session: SftpSession, path: str, chunks: AsyncIterator[bytes], **options: Any) -> int:
        async def first_and_no_more() -> AsyncIterator[bytes]:
            yield await anext(chunks)
            raise SftpError("connection_lost", "the line broke")

        return await write(session, path, first_and_no_more(), **options)

    write = SftpSession.write
    monkeypatch.setattr(SftpSession, "write", breaks)
    more = {"give_up_after": "1s"} if ending == "given up" else {}
    run_id = (await sftp_world.start("upload", **upload_of(await sftp_world.keep(some_bytes), **more))).id
    await until(lambda: any(name.endswith(".part") for name in sftp_world.names()))

    if ending == "cancelled":
        await until(lambda: failed_once(sftp_world, run_id))
        await sftp_world.tieline.runs.cancel(run_id)
    with pytest.raises(RunCancelled if ending == "cancelled" else RunFailed):
        await sftp_world.tieline.runs.result(run_id, timeout=timedelta(seconds=30))
    assert sftp_world.names() == []


async def test_a_run_that_meets_a_fault_of_its_workflow_goes_on_when_that_is_mended(
    sftp_world: SftpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, faults = RunWorkflow._run, iter([RuntimeError("a fault of ours")])

    async def wrong_once(workflow: RunWorkflow, call: AnyCall) -> RunResult:
        for fault in faults:
            raise fault
        return await right(workflow, call)

    monkeypatch.setattr(RunWorkflow, "_run", wrong_once)

    result = await sftp_world.do("upload", **upload_of(await sftp_world.keep(b"content")))

    assert result.sha256 == sha256(b"content")
    assert next(faults, None) is None


async def failed_once(world: SftpWorld, run_id: str) -> bool:
    """Its activity waits to be repeated."""
    pending = (await world.tieline.client.get_workflow_handle(run_id).describe()).raw_description.pending_activities
    waiting = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    return any(each.attempt > 1 and each.state == waiting for each in pending)

"""The activity around a transfer: heartbeats, cancellation, a worker that stops, and accounts that are dead."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.sftp import SftpActivities
from definitions.refs import CredentialRef
from definitions.run import Failure, SftpCall, Verdict
from definitions.sftp import SftpResult
from net.sftp import SftpSession
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sftp_attempts import Attempts
from tests.fixtures.sftp_runs import OPERATION, aged, upload_of
from tests.fixtures.waiting import until


@pytest.fixture
def environment() -> ActivityEnvironment:
    return ActivityEnvironment()


def operate(
    environment: ActivityEnvironment,
    attempts: Attempts,
    type_: str,
    progress: dict[str, Any] | None = None,
    **operation: Any,
) -> "asyncio.Task[SftpResult]":
    """The activity, as a worker runs it."""
    call = SftpCall(
        operation=OPERATION.validate_python({"type": f"sftp.{type_}", **operation}),
        credential=CredentialRef(adapter="bank", profile="production"),
        idempotency_key=attempts.run,
        progress=progress,
    )
    activities = SftpActivities(attempts, attempts, attempts, attempts.assets, attempts.http, record=attempts.record)
    return asyncio.ensure_future(environment.run(activities.operate, call))


async def half_sent(faulty: FaultySftp) -> None:
    """Until a server that hangs in every write has one."""
    faulty.one_by_one = False
    faulty.stall_in.add("write")
    await until(lambda: faulty.calls["write"] > 0)


async def failure_of(running: "asyncio.Task[SftpResult]") -> Failure:
    with pytest.raises(ApplicationError) as raised:
        await running
    return Failure.model_validate(raised.value.details[0])


async def test_a_cancelled_run_ends_at_once_and_leaves_no_unfinished_file(
    troubled: Attempts, faulty: FaultySftp, environment: ActivityEnvironment
) -> None:
    running = operate(environment, troubled, "upload", **upload_of(await troubled.keep(b"x" * 100)))
    await half_sent(faulty)
    unfinished = troubled.names()

    environment.cancel(ActivityCancellationDetails(cancel_requested=True))

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert len(unfinished) == 1
    assert troubled.names() == []


async def test_an_attempt_that_was_given_up_leaves_its_file_to_the_next_one(
    troubled: Attempts, faulty: FaultySftp, environment: ActivityEnvironment
) -> None:
    running = operate(environment, troubled, "upload", **upload_of(await troubled.keep(b"x" * 100)))
    await half_sent(faulty)

    environment.cancel(ActivityCancellationDetails(timed_out=True))

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert len(troubled.names()) == 1


async def test_a_worker_that_stops_hands_the_transfer_to_another(
    troubled: Attempts, faulty: FaultySftp, environment: ActivityEnvironment
) -> None:
    running = operate(environment, troubled, "upload", **upload_of(await troubled.keep(b"x" * 100)))
    await half_sent(faulty)

    environment.worker_shutdown()
    environment.cancel(ActivityCancellationDetails(worker_shutdown=True))

    failure = await failure_of(running)
    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "worker_stopped")
    assert len(troubled.names()) == 1


async def test_heartbeats_tell_how_far_a_file_is(
    troubled: Attempts, faulty: FaultySftp, environment: ActivityEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.sftp.BEAT_EVERY", 0.02)
    told: list[dict[str, Any]] = []
    environment.on_heartbeat = told.append
    faulty.stall_after = 2_000_000
    faulty.one_by_one = False
    running = operate(environment, troubled, "upload", **upload_of(await troubled.keep(b"x" * 6_000_000)))

    await until(lambda: bool(told) and told[-1].get("files", {}).get("0", {}).get("offset", 0) > 0)

    environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told[-1]["files"]["0"]["size"] == 6_000_000


async def test_an_attempt_goes_on_with_what_the_one_before_told_temporal(
    attempts: Attempts, environment: ActivityEnvironment
) -> None:
    assets = [await attempts.keep(b"x", f"{index}.txt") for index in range(3)]
    files = [{"source": {"type": "asset", "asset": asset}, "path": "in/"} for asset in assets]
    environment.info = replace(environment.info, attempt=2, heartbeat_details=[{"done": "0-1"}])

    result = await operate(environment, attempts, "upload", files=files)

    assert attempts.names() == ["in/2.txt"]
    assert (result.attempt, result.paths) == (2, ("in/0.txt", "in/1.txt", "in/2.txt"))


async def test_an_activity_goes_on_with_what_one_before_it_did_until_somebody_was_asked(
    troubled: Attempts, faulty: FaultySftp, environment: ActivityEnvironment
) -> None:
    large = 1024 * 1024 + 1  # which goes alone, after the others
    assets = [await troubled.keep(b"x" * size, f"{index}.txt") for index, size in enumerate((1, 1, large))]
    files = [{"source": {"type": "asset", "asset": asset}, "path": f"{index}/"} for index, asset in enumerate(assets)]
    troubled.path("2").write_bytes(b"a file where a folder should be")
    with pytest.raises(ApplicationError) as raised:
        await operate(environment, troubled, "upload", files=files)
    troubled.path("2").unlink()

    result = await operate(environment, troubled, "upload", raised.value.details[1], files=files)

    assert "2 other files were done" in raised.value.message
    assert result.paths == ("0/0.txt", "1/1.txt", "2/2.txt")
    assert faulty.calls["rename"] == 3


async def test_a_refused_login_registers_the_run_to_be_woken(
    troubled: Attempts, environment: ActivityEnvironment
) -> None:
    troubled.server = replace(troubled.server, password="wrong-password")

    failure = await failure_of(operate(environment, troubled, "exists", path="a"))

    assert (failure.verdict, failure.category) == (Verdict.RECONNECT, "credential_refused")
    assert failure.ticket is not None
    assert troubled.parked == [failure.ticket]


async def test_a_connection_from_before_a_key_changed_does_not_make_its_account_well(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    """Else the runs that wait are woken, meet the changed key on their own workers, and people are told again."""
    await troubled.do("exists", path="a")
    faulty.change_host_key()
    troubled.cause = "host_key_changed"

    failure = await troubled.fails("exists", path="a")

    assert (failure.verdict, failure.category) == (Verdict.RECONNECT, "host_key_changed")
    assert troubled.well == 0


async def test_a_server_that_takes_a_dead_account_again_makes_it_well(troubled: Attempts) -> None:
    await troubled.do("exists", path="a")
    troubled.cause = "host_key_changed"

    await troubled.do("exists", path="a")

    assert troubled.well == 1


async def test_an_account_that_is_well_again_when_the_run_is_registered_is_tried_again(
    troubled: Attempts, environment: ActivityEnvironment
) -> None:
    right = troubled.server
    troubled.server = replace(right, password="wrong-password")

    async def mended() -> None:
        troubled.server = right

    troubled.on_park = mended

    result = await operate(environment, troubled, "exists", path="a")

    assert result.exists is False


async def test_an_error_of_our_own_tells_no_more_than_its_class(
    attempts: Attempts, environment: ActivityEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret-in-a-message")

    monkeypatch.setitem(__import__("activities.sftp").sftp._DOES, "sftp.exists", broken)

    failure = await failure_of(operate(environment, attempts, "exists", path="a"))

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "internal_error")
    assert "secret" not in failure.message


@pytest.mark.parametrize("type_", ["upload", "download"])
async def test_an_attempt_that_brought_something_is_followed_by_another_at_once_and_one_in_vain_after_longer(
    troubled: Attempts, faulty: FaultySftp, environment: ActivityEnvironment, type_: str
) -> None:
    content = b"x" * 6_000_000
    troubled.path("a").write_bytes(content)
    aged(troubled.path("a"))
    operation = upload_of(await troubled.keep(content)) if type_ == "upload" else {"paths": ["a"]}
    faulty.drop_after = 5_000_000

    waits = [await _wait_after_it_failed(environment, troubled, type_, operation)]
    faulty.hang_up_after_login = True
    waits += [await _wait_after_it_failed(environment, troubled, type_, operation) for _ in range(3)]

    assert waits == [1, 1, 2, 4]


async def test_a_file_that_changes_while_it_is_fetched_is_tried_after_longer_each_time_whatever_it_brought(
    attempts: Attempts, environment: ActivityEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SftpSession.read

    def grows(session: SftpSession, path: str, *arguments: Any, **more: Any) -> Any:
        with attempts.path("a").open("ab") as file:
            file.write(b"more")
        return read(session, path, *arguments, **more)

    attempts.path("a").write_bytes(b"content")
    aged(attempts.path("a"))
    monkeypatch.setattr(SftpSession, "read", grows)
    monkeypatch.setattr("activities.sftp_download.SETTLED_AFTER", 0.0)

    waits = [await _wait_after_it_failed(environment, attempts, "download", {"paths": ["a"]}) for _ in range(3)]

    assert waits == [1, 2, 4]


async def _wait_after_it_failed(
    environment: ActivityEnvironment, attempts: Attempts, type_: str, operation: dict[str, Any]
) -> float:
    environment.info = replace(environment.info, attempt=40, heartbeat_details=[attempts.told] if attempts.told else [])
    with pytest.raises(ApplicationError) as raised:
        await operate(environment, attempts, type_, **operation)
    assert raised.value.next_retry_delay is not None
    return raised.value.next_retry_delay.total_seconds()

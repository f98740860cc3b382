"""Limits that really end an operation, and cancellation that does not wait for a server that hangs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import psutil
import pytest

from net import ssh
from net.sftp import BLOCK, SftpSession
from net.sftp_errors import SftpError
from net.ssh_pool import SshConnections
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.sshd import sshd_server
from tests.fixtures.waiting import until

CONTENT = b"0123456789abcdef" * 40_000
SOON = 10
"""Seconds; whoever waited for the server, or for a later limit, would be at it for longer."""


async def _chunks(content: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def _write(session: SftpSession) -> None:
    await session.write("/new", _chunks(CONTENT))


async def _read(session: SftpSession) -> None:
    async with aclosing(session.read("/a")) as blocks:
        async for _ in blocks:
            pass


async def _list(session: SftpSession) -> None:
    async with aclosing(session.list("/")) as entries:
        async for _ in entries:
            pass


async def _rename(session: SftpSession) -> None:
    await session.rename("/a", "/b", replace=True)


async def _within(session: SftpSession, stall: float, operation: Callable[[SftpSession], Awaitable[None]]) -> None:
    async with session.watch(stall, 30):
        await operation(session)


STALLS = [
    ("open", _write),
    ("write", _write),
    ("close", _write),
    ("open", _read),
    ("read", _read),
    ("list", _list),
    ("rename", _rename),
]
each_stall = pytest.mark.parametrize(("stall", "operation"), STALLS)


@each_stall
async def test_a_server_that_hangs_is_left_within_the_limit(
    faulty: FaultySftp, connections: SshConnections, stall: str, operation: Callable[[SftpSession], Awaitable[None]]
) -> None:
    (faulty.folder / "a").write_bytes(CONTENT)
    faulty.stall_in = {stall}
    began = time.monotonic()
    with pytest.raises(SftpError) as stalled:
        async with connections.session(faulty.server()) as session, session.watch(0.2, 30):
            await operation(session)

    assert stalled.value.code == "stalled"
    assert str(stalled.value) == f"127.0.0.1:{faulty.port} has not answered for 0.2 s"
    assert time.monotonic() - began < SOON
    await until(lambda: faulty.live[0].is_closed())


async def test_an_openssh_server_that_is_frozen_is_left_within_the_limit(connections: SshConnections) -> None:
    with sshd_server() as frozen:
        async with connections.session(frozen.server()) as session:
            for process in psutil.Process(frozen.process.pid).children(recursive=True):
                process.suspend()
            began = time.monotonic()
            with pytest.raises(SftpError) as stalled:
                await _within(session, 0.3, _write)

    assert stalled.value.code == "stalled"
    assert time.monotonic() - began < SOON


async def test_a_server_that_is_gone_without_a_word_is_noticed_without_any_limit(
    connections: SshConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "KEEPALIVE_SECONDS", 0.05)
    with sshd_server() as frozen:
        async with connections.session(frozen.server()) as session:
            for process in psutil.Process(frozen.process.pid).children(recursive=True):
                process.suspend()
            with pytest.raises(SftpError) as lost:
                await asyncio.wait_for(_write(session), 10)

    assert lost.value.code == "connection_lost"


async def test_nothing_more_is_asked_of_a_server_that_hung(faulty: FaultySftp, connections: SshConnections) -> None:
    faulty.stall_in = {"rename"}
    async with connections.session(faulty.server()) as session:
        with pytest.raises(SftpError, match="has not answered"):
            await _within(session, 0.1, _rename)
        with pytest.raises(SftpError) as lost:
            await _within(session, 5, _rename)

    assert lost.value.code == "connection_lost"


@each_stall
async def test_cancellation_does_not_wait_for_a_server_that_hangs(
    faulty: FaultySftp, connections: SshConnections, stall: str, operation: Callable[[SftpSession], Awaitable[None]]
) -> None:
    async def work() -> None:
        async with connections.session(faulty.server()) as session, session.watch(30, 60):
            await operation(session)

    (faulty.folder / "a").write_bytes(CONTENT)
    faulty.stall_in = {stall}
    task = asyncio.create_task(work())
    await until(lambda: faulty.calls[stall] > 0)

    began = time.monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert time.monotonic() - began < SOON


async def test_a_server_that_answers_but_never_gets_done_is_left_at_the_overall_limit(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x" * 1000

    with pytest.raises(SftpError) as late:
        async with connections.session(faulty.server()) as session, session.watch(10, 0.3):
            await session.write("/a", endless())

    assert late.value.code == "timeout"


@pytest.fixture
def pause() -> Callable[[float], Awaitable[None]]:
    """Lets seconds pass for all clocks of the loop, though nobody has to wait for them.

    They stay passed: servers of other tests set their timers by this loop, and with a clock that is put back they would
    sleep for as long as it was ahead.
    """

    async def pass_by(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time
        loop.time = lambda: before() + seconds  # type: ignore[method-assign]
        for _ in range(5):  # timers that are due now
            await asyncio.sleep(0)

    return pass_by


async def test_a_transfer_that_makes_progress_may_take_longer_than_the_stall_limit(
    faulty: FaultySftp, connections: SshConnections, pause: Callable[[float], Awaitable[None]]
) -> None:
    confirmed: list[int] = []

    async def slow() -> AsyncIterator[bytes]:
        while len(confirmed) < 4:
            before = len(confirmed)
            yield b"x" * BLOCK
            await pause(40)
            await until(lambda: len(confirmed) > before)  # noqa: B023 - it is done before the next one

    async with connections.session(faulty.server()) as session, session.watch(60, 3600):
        await session.write("/a", slow(), on_progress=confirmed.append)

    assert (faulty.folder / "a").stat().st_size == 4 * BLOCK


async def test_a_source_that_pauses_is_not_the_servers_stall(
    faulty: FaultySftp, connections: SshConnections, pause: Callable[[float], Awaitable[None]]
) -> None:
    confirmed: list[int] = []

    async def pausing() -> AsyncIterator[bytes]:
        yield b"x" * BLOCK
        await until(lambda: confirmed == [BLOCK])
        await pause(100)
        yield b"y" * BLOCK

    async with connections.session(faulty.server()) as session, session.watch(60, 3600):
        await session.write("/a", pausing(), on_progress=confirmed.append)

    assert (faulty.folder / "a").stat().st_size == 2 * BLOCK


async def test_a_reader_that_pauses_is_not_the_servers_stall(
    faulty: FaultySftp, connections: SshConnections, pause: Callable[[float], Awaitable[None]]
) -> None:
    (faulty.folder / "a").write_bytes(CONTENT * 3)
    size = 0
    async with connections.session(faulty.server()) as session, session.watch(60, 3600):
        async for data in session.read("/a"):
            if size == 0:
                await until(lambda: not any("fetch" in repr(task) for task in asyncio.all_tasks()))
                await pause(100)
            size += len(data)

    assert size == len(CONTENT) * 3


async def test_a_stall_of_one_operation_does_not_break_others_that_are_answered(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.one_by_one, faulty.stall_in = False, {"rename"}
    (faulty.folder / "a").write_bytes(CONTENT)

    async def busy() -> int:
        looks = 0
        async with connections.session(faulty.server()) as session, session.watch(5, 60):
            while not stalled.done():
                assert await session.stat("/a") is not None
                looks += 1
            for _ in range(3):
                assert await session.stat("/a") is not None
        return looks

    async def hanging() -> None:
        async with connections.session(faulty.server()) as session, session.watch(1, 60):
            await session.rename("/a", "/b", replace=True)

    stalled = asyncio.create_task(hanging())
    looks = await busy()
    async with connections.session(faulty.server()) as session:
        await session.stat("/a")

    assert isinstance(stalled.exception(), SftpError)
    assert looks > 10
    assert faulty.connections == 2, "what hung once is not given to anybody new"
    await until(lambda: faulty.live[0].is_closed())


async def test_a_cancelled_transfer_leaves_the_others_on_its_connection_alone_and_no_file_open(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    (faulty.folder / "a").write_bytes(CONTENT)
    forever = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield CONTENT
        await forever.wait()

    async def write() -> None:
        async with connections.session(faulty.server()) as session:
            await session.write("/b", source())

    async with connections.session(faulty.server()) as other:
        task = asyncio.create_task(write())
        await until(lambda: faulty.written > 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert await other.stat("/a") is not None
        await until(lambda: not faulty.open)

    assert faulty.connections == 1


async def test_a_file_whose_opening_was_given_up_is_closed_when_the_server_has_opened_it(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    (faulty.folder / "a").write_bytes(CONTENT)
    faulty.stall_in = {"open"}
    async with connections.session(faulty.server()) as session:
        task = asyncio.create_task(_read(session))
        await until(lambda: faulty.calls["open"] > 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        faulty.stall_in.clear()
        faulty.released.set()

        await until(lambda: faulty.calls["close"] > 0)
    assert not faulty.open


async def test_a_timeout_of_the_users_own_is_not_taken_for_the_servers(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    with pytest.raises(TimeoutError, match="my own"):
        async with connections.session(faulty.server()) as session, session.watch(10, 10):
            raise TimeoutError("my own")

    assert not faulty.live[0].is_closed()

"""How a process queues at a server, and holds off one that turns it away."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from net import ssh_gate
from net.sftp_errors import SftpError
from net.ssh_gate import LONGEST_PAUSE, HandshakeGate


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def _pause(gate: HandshakeGate, clock: Clock) -> float:
    async with gate.turn("host", 22):
        return clock.slept[-1]


async def test_two_handshakes_at_a_time_for_one_server() -> None:
    gate = HandshakeGate()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gate.turn("host", 22))
        await stack.enter_async_context(gate.turn("host", 22))
        await stack.enter_async_context(gate.turn("other", 22))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stack.enter_async_context(gate.turn("host", 22)), 0.01)


async def test_the_pause_grows_with_each_drop_in_a_row_up_to_a_limit(clock: Clock) -> None:
    gate = HandshakeGate(sleep=clock.sleep, now=lambda: clock.now, jitter=lambda: 1.0)
    pauses = []
    for _ in range(12):
        gate.dropped("host", 22)
        pauses.append(await _pause(gate, clock))

    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == LONGEST_PAUSE


async def test_the_pause_varies_so_that_workers_do_not_come_back_together(clock: Clock) -> None:
    gate = HandshakeGate(sleep=clock.sleep, now=lambda: clock.now, jitter=lambda: 0.0)
    gate.dropped("host", 22)

    assert await _pause(gate, clock) == 0.25


async def test_a_server_that_asks_for_a_login_is_not_held_off_any_more(clock: Clock) -> None:
    gate = HandshakeGate(sleep=clock.sleep, now=lambda: clock.now)
    gate.dropped("host", 22)
    gate.answered("host", 22)

    assert await _pause(gate, clock) == 0.0


async def test_other_servers_are_not_held_off(clock: Clock) -> None:
    gate = HandshakeGate(sleep=clock.sleep, now=lambda: clock.now)
    gate.dropped("other", 22)

    assert await _pause(gate, clock) == 0.0


async def test_who_waits_too_long_for_a_turn_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_gate, "LONGEST_WAIT", 0.01)
    gate = HandshakeGate()
    async with gate.turn("host", 22), gate.turn("host", 22):
        with pytest.raises(SftpError, match="no turn") as refused:
            async with gate.turn("host", 22):
                pass

    assert refused.value.code == "connect_failed"

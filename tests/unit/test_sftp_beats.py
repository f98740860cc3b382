"""What is recorded before what cannot be taken back, and what keeps an attempt from doing it that was given up."""

import asyncio
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.client import AsyncActivityCancelledError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.sftp_beats import record_at_temporal
from activities.sftp_judge import Refused
from tests.fixtures.waiting import until


class Temporal:
    """A client at which recording ends like this."""

    def __init__(self, ends: Exception | None = None) -> None:
        self._ends = ends
        self.recorded: list[Any] = []

    def get_async_activity_handle(self, *, task_token: bytes) -> "Temporal":
        return self

    async def heartbeat(self, details: dict[str, Any]) -> None:
        self.recorded.append(details)
        if self._ends is not None:
            raise self._ends


def recording(temporal: Any) -> tuple[ActivityEnvironment, "asyncio.Task[None]"]:
    environment = ActivityEnvironment(client=temporal)
    return environment, asyncio.ensure_future(environment.run(record_at_temporal, {"done": "0"}))


async def test_it_returns_when_temporal_holds_the_details() -> None:
    temporal = Temporal()

    _, recorded = recording(temporal)

    await asyncio.wait_for(recorded, 5)
    assert temporal.recorded == [{"done": "0"}]


@pytest.mark.parametrize(
    "ends",
    [
        RPCError("no such activity", RPCStatusCode.NOT_FOUND, b""),
        AsyncActivityCancelledError(ActivityCancellationDetails(cancel_requested=True)),
    ],
)
async def test_an_attempt_that_is_not_wanted_any_more_goes_no_further(ends: Exception) -> None:
    """Another one may be at the same files."""
    temporal = Temporal(ends)
    environment, recorded = recording(temporal)
    await until(lambda: bool(temporal.recorded))
    done, _ = await asyncio.wait([recorded], timeout=0.05)

    environment.cancel()

    assert not done
    with pytest.raises(asyncio.CancelledError):
        await recorded


async def test_a_temporal_that_does_not_answer_is_told_as_that() -> None:
    _, recorded = recording(Temporal(RPCError("away", RPCStatusCode.UNAVAILABLE, b"")))

    with pytest.raises(Refused, match="UNAVAILABLE") as raised:
        await recorded
    assert raised.value.category == "temporal_unreachable"

"""What ends the wait for a run, and is not its end."""

from typing import cast

import pytest
from temporalio.service import RPCError, RPCStatusCode

from cli.errors import CliError, Status
from cli.waiting import wait_for
from definitions.run import RunResult
from runtime.runs import RunNotFound, Runs


class Lost:
    """Runs whose Temporal has gone away: the real one's client tries for seconds before it says so."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def result(self, run_id: str) -> RunResult:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(RPCError("transport error", RPCStatusCode.UNKNOWN, b""), Status.UNREACHABLE, id="cut"),
        pytest.param(RPCError("refused", RPCStatusCode.UNAVAILABLE, b""), Status.UNREACHABLE, id="away"),
        pytest.param(RPCError("no", RPCStatusCode.PERMISSION_DENIED, b""), Status.FAILED, id="refused"),
    ],
)
async def test_a_wait_that_temporal_ends_tells_that_the_run_goes_on(error: RPCError, status: Status) -> None:
    with pytest.raises(CliError) as caught:
        await wait_for(cast("Runs", Lost(error)), "run-1", None)

    assert str(caught.value).endswith("\nthe run goes on: tieline runs result run-1")
    assert (caught.value.status, caught.value.details) == (status, {"run": "run-1"})


async def test_a_run_that_is_not_there_does_not_go_on() -> None:
    with pytest.raises(RunNotFound):
        await wait_for(cast("Runs", Lost(RunNotFound("there is no run run-1"))), "run-1", None)

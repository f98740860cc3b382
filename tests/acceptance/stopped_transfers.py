"""A real worker that stands still (SIGSTOP) when uploads have come to named points, and then goes on with them."""

import asyncio
import functools
import os
import signal
from datetime import timedelta
from typing import Any

from temporalio.worker import Worker

import runtime.assembly
import workflows.options
from activities.sftp import SftpActivities
from net.sftp import SftpSession
from tests.acceptance import dying_transfers
from tests.fixtures.processes import work_for_ever

HEARTBEAT_TIMEOUT = timedelta(seconds=5)
"""After which it is missed; a fourth of the usual."""
MODULE = "tests.acceptance.stopped_transfers"
STOPS: dict[str, tuple[str, bool, int]] = {
    "before-first-byte": ("write", False, 1),
    "mid-transfer": ("_write_block", True, 20),
    "before-size-check": ("stat", False, 1),
    "before-rename": ("rename", False, 1),
}
"""Where, and at the so many-th call for a file of that folder; True: after what the method does."""

_reached: set[str] = set()
_woken = asyncio.Event()
_ended = 0


async def reach(point: str) -> None:
    """The last one to come here stops the process."""
    _reached.add(point)
    if _reached == STOPS.keys():
        print("stops", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        _woken.set()
    await _woken.wait()


_make = SftpActivities.make


async def _counted(self: SftpActivities, *arguments: Any, **more: Any) -> Any:
    global _ended
    try:
        return await _make(self, *arguments, **more)
    finally:
        _ended += 1
        if _ended == len(STOPS):
            print("ended", flush=True)


async def main() -> None:
    dying_transfers.reach = reach
    for point, (name, after, number) in STOPS.items():
        stopping = dying_transfers.stopping(getattr(SftpSession, name), point, after=after, number=number)
        setattr(SftpSession, name, stopping)
    SftpActivities.make = _counted  # type: ignore[method-assign]
    # It asks for as few tasks as it can: what it is given while it stands still is lost, and missed after seconds.
    full = functools.partial(
        Worker,
        max_concurrent_activities=len(STOPS),
        max_cached_workflows=0,
        max_concurrent_workflow_task_polls=1,
    )
    workflows.options.HEARTBEAT_TIMEOUT = HEARTBEAT_TIMEOUT
    vars(runtime.assembly)["Worker"] = full
    await work_for_ever()


if __name__ == "__main__":
    asyncio.run(main())

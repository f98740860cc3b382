"""`make demo`: the product from its outside, against systems played on this machine. Ends by itself."""

import asyncio
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from examples.demo.commands import CommandLine
from examples.demo.files import Files
from examples.demo.narration import Narrator, tell
from examples.demo.story import Story, variable
from examples.demo.up import Up
from examples.externalsystems import Systems, serve
from examples.externalsystems.accepted import SYSTEMS, WAREHOUSE_USER
from examples.externalsystems.warehouse import Warehouse, serve_warehouse
from runtime.exit import leave


async def demo(narrator: Narrator) -> None:
    """Start everything, tell the story, stop everything."""
    with tempfile.TemporaryDirectory(prefix="tieline-demo-") as name:
        folder = Path(name)
        async with serve() as systems, serve_warehouse(folder / "warehouse") as warehouse:
            tieline = CommandLine(narrator, _settings(folder, systems, warehouse))
            narrator.chapter(
                "Tieline on one machine",
                f"Four external systems are played at {systems.base_url}, one that misbehaves at "
                f"{systems.flaky_url}, and a partner's SFTP server at sftp://{warehouse.server}. Addresses of this "
                "machine are refused unless an operator allows them, as TIELINE_EGRESS_ALLOW does here.",
            )
            up = Up(narrator, tieline)
            with narrator.step("Start: a Temporal server of its own, a worker and the HTTP API"):
                await up.start()
            try:
                story = Story(narrator, tieline, systems)
                await story.tell()
                await Files(narrator, tieline, warehouse, up, folder).tell()
                await story.afterwards()
            finally:
                status = await up.stop()
            with narrator.step("Stop: calls under way end first"):
                narrator.expect("exit status 0", status, 0)


def _settings(folder: Path, systems: Systems, warehouse: Warehouse) -> Mapping[str, str]:
    secrets = {
        variable(system, profile, field): value
        for system, tenants in SYSTEMS.items()
        for profile, tenant in tenants.items()
        for field, value in tenant.secrets.items()
    }
    own = {
        "TIELINE_DATA_DIR": str(folder / ".tieline"),
        "TIELINE_EGRESS_ALLOW": f"{systems.server},{systems.flaky_server},{warehouse.server}",
        "DEMO_WAREHOUSE_USERNAME": WAREHOUSE_USER,
        "DEMO_WAREHOUSE_KEY": warehouse.user_key(),
    }
    return {**secrets, **own}


async def main() -> int:
    """SIGTERM ends it as Ctrl-C does: what was started is stopped in good order."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await tell(demo)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        status = asyncio.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("demo: interrupted; all that it started has ended", file=sys.stderr)
        status = 130
    leave(status)

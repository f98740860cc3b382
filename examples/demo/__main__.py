"""`make demo`: the product from its outside, against systems played on this machine. Ends by itself."""

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from examples.demo.commands import CommandLine
from examples.demo.narration import Narrator, tell
from examples.demo.story import Story, variable
from examples.externalsystems import Systems, serve
from examples.externalsystems.accepted import SYSTEMS
from runtime.exit import leave

START_SECONDS = 60.0


async def demo(narrator: Narrator) -> None:
    """Start everything, tell the story, stop everything."""
    with tempfile.TemporaryDirectory(prefix="tieline-demo-") as folder:
        async with serve() as systems:
            tieline = CommandLine(narrator, _settings(Path(folder), systems))
            narrator.chapter(
                "Tieline on one machine",
                f"Four external systems are played at {systems.base_url}, and one that misbehaves at "
                f"{systems.flaky_url}. Addresses of this machine are refused unless an operator allows them, as "
                "TIELINE_EGRESS_ALLOW does here.",
            )
            async with _up(narrator, tieline):
                await Story(narrator, tieline, systems).tell()


@asynccontextmanager
async def _up(narrator: Narrator, tieline: CommandLine) -> AsyncIterator[None]:
    with narrator.step("Start: a Temporal server of its own, and a worker"):
        process = await tieline.start("up")
        assert process.stdout is not None, "it was asked for"
        lines: list[str] = []
        async with asyncio.timeout(START_SECONDS):
            while (line := (await process.stdout.readline()).decode()) and "tieline doctor" not in line:
                lines.append(line)
        narrator.output("".join(lines))
        narrator.expect("it is up", "Tieline is up" in "".join(lines))
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        status = await process.wait()
    with narrator.step("Stop: calls under way end first"):
        narrator.expect("exit status 0", status, 0)


def _settings(folder: Path, systems: Systems) -> Mapping[str, str]:
    secrets = {
        variable(system, profile, field): value
        for system, tenants in SYSTEMS.items()
        for profile, tenant in tenants.items()
        for field, value in tenant.secrets.items()
    }
    own = {
        "TIELINE_DATA_DIR": str(folder / ".tieline"),
        "TIELINE_EGRESS_ALLOW": f"{systems.server},{systems.flaky_server}",
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

"""`make prodlike`: the shape of production on this machine. Ends by itself, and leaves nothing behind."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.prodlike.installation import installation
from deploy.prodlike.outside import Outside
from deploy.prodlike.story import Story
from examples.demo.narration import Narrator, tell
from runtime.exit import leave
from tests.fixtures.http import serving

LIMIT_SECONDS = 1200.0
ORDER_SECONDS = 1.5


async def prodlike(narrator: Narrator) -> None:
    """Start everything, tell the story, stop everything."""
    outside = Outside(ORDER_SECONDS)
    with _folder() as folder:
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            serving(outside),
            installation(folder, f"127.0.0.1:{outside.port}") as production,
        ):
            await Story(narrator, production, outside).tell()


@contextmanager
def _folder() -> Iterator[Path]:
    """PRODLIKE_KEEP=1 leaves it, for its logs."""
    folder = Path(tempfile.mkdtemp(prefix="tieline-prodlike-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user than root
    try:
        yield folder
    finally:
        if os.environ.get("PRODLIKE_KEEP"):
            print(f"prodlike: left {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def main() -> int:
    """SIGTERM ends it as Ctrl-C does: what was started is stopped in good order."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await tell(prodlike, Narrator(called="prodlike"))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    try:
        status = asyncio.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("prodlike: interrupted; all that it started has ended", file=sys.stderr)
        status = 130
    leave(status)

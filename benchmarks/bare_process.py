"""A bare Temporal worker as a process: `python -m benchmarks.bare_process ADDRESS QUEUE URL [MODULE…]`.

Imports the modules that are named, and works until it is told to stop.
"""

import asyncio
import importlib
import sys

from temporalio.client import Client

from benchmarks.by_hand import bare_worker


async def _work(address: str, task_queue: str, url: str) -> None:
    async with bare_worker(await Client.connect(address), task_queue, url):
        await asyncio.Event().wait()


if __name__ == "__main__":
    where, modules = sys.argv[1:4], sys.argv[4:]
    for module in modules:
        importlib.import_module(module)
    asyncio.run(_work(*where))

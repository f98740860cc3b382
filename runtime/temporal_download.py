"""Fetch Temporal's command line program by the SDK's own download.

A script of its own (`python temporal_download.py FOLDER VERSION`): the SDK downloads only in order to start a server,
and offers no limit, so its caller ends the process when it takes too long.
"""

import asyncio
import os
import socket
import sys
import urllib.request

from temporalio.testing import WorkflowEnvironment

HOST = "temporal.download"
CONNECT_SECONDS = 5.0


async def main(folder: str, version: str) -> None:
    if "https" not in urllib.request.getproxies():
        with socket.create_connection((HOST, 443), timeout=CONNECT_SECONDS):
            pass
    environment = await WorkflowEnvironment.start_local(download_dest_dir=folder, dev_server_download_version=version)
    await environment.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except (OSError, RuntimeError) as error:
        print(f"{HOST} is not reachable from here: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)  # https://github.com/temporalio/sdk-python/issues/300

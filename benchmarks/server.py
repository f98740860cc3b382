"""Whether the settings of the embedded Temporal server pay, against `temporal server start-dev` with a file as it is.

The work is the least there is: a bare workflow whose activity does nothing.
"""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.client import Client

from benchmarks.by_hand import NOTHING, bare_run, bare_worker
from benchmarks.measure import Comparison, compare, in_flight, per_second
from benchmarks.stage import Stage
from runtime.local_process import local_process
from runtime.temporal_binary import temporal_binary
from runtime.temporal_server import HOST, ready

QUEUE = "bench-server"
LOADS = {1: 10, 16: 64}
"""Runs of a round, by how many are in flight."""


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    async with _stock_server(stage.folder) as stock_address:
        ours, stock = await Client.connect(stage.temporal), await Client.connect(stock_address)
        async with bare_worker(ours, QUEUE, stage.url), bare_worker(stock, QUEUE, stage.url):
            for at_once, count in LOADS.items():
                subject = per_second(bare_run(ours, QUEUE, NOTHING), calls=count, at_once=at_once)
                base = per_second(bare_run(stock, QUEUE, NOTHING), calls=count, at_once=at_once)
                name = f"embedded server's settings, {in_flight(at_once)}"
                yield await compare(name, subject, base, unit="/s", rounds=7)


@contextlib.asynccontextmanager
async def _stock_server(folder: Path) -> AsyncIterator[str]:
    binary = await temporal_binary(None)
    port = _free_port()
    command = [str(binary), "server", "start-dev", "--headless", "--ip", HOST, "--port", str(port)]
    command += ["--db-filename", str(folder / "stock.db")]
    async with local_process(command, folder / "stock.log") as process:
        await ready(process, f"{HOST}:{port}", "default")
        yield f"{HOST}:{port}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port

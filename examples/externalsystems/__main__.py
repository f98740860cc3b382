"""`python -m examples.externalsystems --ready-file FILE`: serve until SIGINT or SIGTERM."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from examples.externalsystems.server import Systems, serve


def main() -> None:
    options = _arguments()
    try:
        asyncio.run(_serve_until_told(options))
    except OSError as error:
        ports = f"{options.port}, {options.flaky_port} and {options.sftp_port}"
        sys.exit(f"a port of {ports} cannot be had ({error.strerror}): choose others")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.externalsystems", description="Play external systems.")
    parser.add_argument("--port", type=int, default=0, help="of the well-behaved systems; 0 takes a free one")
    parser.add_argument("--flaky-port", type=int, default=0, help="of the misbehaving system; 0 takes a free one")
    parser.add_argument("--sftp-port", type=int, help="of an SFTP server, which is served only when this is given")
    parser.add_argument("--ready-file", type=Path, help="is written with both addresses once they are served")
    return parser.parse_args()


async def _serve_until_told(options: argparse.Namespace) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serve(options.port, options.flaky_port) as systems, _warehouse(options.sftp_port):
        print(f"external systems on {systems.base_url}, the misbehaving one on {systems.flaky_url}", flush=True)
        if options.ready_file is not None:
            _announce(systems, options.ready_file)
        await told.wait()


@contextlib.asynccontextmanager
async def _warehouse(port: int | None) -> AsyncIterator[None]:
    """Its library is loaded only where it is asked for; its files go with it."""
    if port is None:
        yield
        return
    from examples.externalsystems.warehouse import serve_warehouse

    with tempfile.TemporaryDirectory(prefix="tieline-warehouse-") as folder:
        async with serve_warehouse(Path(folder), port) as warehouse:
            print(f"an SFTP server on sftp://{warehouse.server}, host key {warehouse.fingerprint}", flush=True)
            yield


def _announce(systems: Systems, ready_file: Path) -> None:
    """Whoever waits for the file never sees half of it."""
    addresses = {"base_url": systems.base_url, "flaky_url": systems.flaky_url}
    partial = ready_file.with_name(ready_file.name + ".partial")
    partial.write_text(json.dumps(addresses))
    partial.replace(ready_file)


if __name__ == "__main__":
    main()

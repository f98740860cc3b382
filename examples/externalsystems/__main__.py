"""`python -m examples.externalsystems --ready-file FILE`: serve until SIGINT or SIGTERM."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from examples.externalsystems.server import Systems, serve


def main() -> None:
    options = _arguments()
    try:
        asyncio.run(_serve_until_told(options.port, options.flaky_port, options.ready_file))
    except OSError as error:
        sys.exit(f"a port of {options.port} and {options.flaky_port} cannot be had ({error.strerror}): choose others")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.externalsystems", description="Play external systems.")
    parser.add_argument("--port", type=int, default=0, help="of the well-behaved systems; 0 takes a free one")
    parser.add_argument("--flaky-port", type=int, default=0, help="of the misbehaving system; 0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="is written with both addresses once they are served")
    return parser.parse_args()


async def _serve_until_told(port: int, flaky_port: int, ready_file: Path | None) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serve(port, flaky_port) as systems:
        print(f"external systems on {systems.base_url}, the misbehaving one on {systems.flaky_url}", flush=True)
        if ready_file is not None:
            _announce(systems, ready_file)
        await told.wait()


def _announce(systems: Systems, ready_file: Path) -> None:
    """Whoever waits for the file never sees half of it."""
    addresses = {"base_url": systems.base_url, "flaky_url": systems.flaky_url}
    partial = ready_file.with_name(ready_file.name + ".partial")
    partial.write_text(json.dumps(addresses))
    partial.replace(ready_file)


if __name__ == "__main__":
    main()

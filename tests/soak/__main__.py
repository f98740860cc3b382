"""`make soak`: kill workers at random instants, then show that nothing was lost. Exit status 1: something was."""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path

from runtime.exit import leave
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal
from tests.soak.plan import Plan
from tests.soak.report import report
from tests.soak.soak import soak


async def main(plan: Plan, folder: Path) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # no worker outlives this process
    print(
        f"seed {plan.seed}, {plan.kills} kills, grace period {plan.grace:g} s, logs and observed.json in {folder}",
        flush=True,
    )
    async with _temporal(folder) as address:
        seen = await soak(plan, folder, address, lambda line: print(line, flush=True))
    (folder / "observed.json").write_text(json.dumps(asdict(seen), indent=1))
    print()
    status = report(plan, seen)
    if status:
        print(f"what each side wrote down: {folder}/observed.json")
    return status


@contextlib.asynccontextmanager
async def _temporal(folder: Path) -> AsyncIterator[str]:
    settings = Settings(data_dir=folder / "temporal", temporal_address=None, temporal_port=None)
    async with embedded_temporal(settings) as temporal:
        yield temporal.address


def _plan(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    plan = Plan(seed=random.SystemRandom().randrange(10**6))
    parser.add_argument("--kills", type=int, default=plan.kills)
    parser.add_argument("--seed", type=int, default=plan.seed, help="default: another one each time")
    parser.add_argument("--seconds-limit", type=float, default=plan.seconds_limit, help="no kill after these")
    parser.add_argument("--grace", type=float, default=plan.grace, help="of the authorization server, in seconds")
    parser.add_argument("--no-grace", dest="grace", action="store_const", const=0.0)
    parser.add_argument("--postgresql", action="store_true", help="Debian's, in place of SQLite")
    return replace(plan, **vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    chosen = _plan(sys.argv[1:])
    leave(asyncio.run(main(chosen, Path(tempfile.mkdtemp(prefix="tieline-soak-")))))

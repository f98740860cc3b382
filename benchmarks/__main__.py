"""`python -m benchmarks [NAME…]`: measure, then print one table."""

import asyncio
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.metadata import version

import psutil
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from benchmarks import calls, credentials, due, gateway, memory, runs, server, sftp
from benchmarks.measure import Comparison
from benchmarks.stage import Stage, open_stage
from runtime.exit import leave

BENCHMARKS: dict[str, Callable[[Stage], AsyncIterator[Comparison]]] = {
    "calls": calls.measure,
    "credentials": credentials.measure,
    "due": due.measure,
    "runs": runs.measure,
    "gateway": gateway.measure,
    "server": server.measure,
    "memory": memory.measure,
    "sftp": sftp.measure,
}
LIBRARIES = ("temporalio", "httpx2", "pydantic", "sqlalchemy", "cryptography")


def main(names: Sequence[str]) -> int:
    """The exit status: 0 whatever the figures say."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    comparisons = asyncio.run(_measured(names or list(BENCHMARKS)))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(_table(comparisons))
    console.print(_machine(), highlight=False)
    console.print(f"took {time.monotonic() - started:.0f} s", highlight=False)
    return 0


async def _measured(names: Sequence[str]) -> list[Comparison]:
    done: list[Comparison] = []
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), transient=True, console=Console(stderr=True)
    ) as bar:
        task = bar.add_task("starting the servers")
        async with open_stage() as stage:
            for name in names:
                bar.update(task, description=name)
                async for comparison in BENCHMARKS[name](stage):
                    done.append(comparison)
                    bar.console.print(f"{comparison.name}: {_ratio(comparison.ratio)}", highlight=False)
    return done


def _table(comparisons: Sequence[Comparison]) -> Table:
    table = Table("", title="Ratios: median of the rounds, and their range", title_justify="left")
    for heading in ("RATIO", "RANGE", "GOAL", "TIELINE", "COMPARED WITH"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in comparisons:
        spread = f"{_ratio(min(each.ratios))} - {_ratio(max(each.ratios))}"
        figures = (f"{_figure(each.subject)}{each.unit}", f"{_figure(each.base)}{each.unit}")
        table.add_row(each.name, _ratio(each.ratio), spread, each.goal, *figures)
    return table


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}\n{libraries}"
    )


if __name__ == "__main__":
    leave(main(sys.argv[1:]))

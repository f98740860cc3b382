"""How far a transfer is, for who looks at a terminal; nothing elsewhere, and nothing for what is done in a moment."""

import contextlib
import sys
from collections.abc import Callable, Iterator

WORTH_SHOWING = 8 * 1024 * 1024
"""Bytes."""


@contextlib.contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields what to call with the number of further bytes. `total` None: nobody knows how many there will be."""
    if not sys.stderr.isatty() or (total is not None and total < WORTH_SHOWING):
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from cli.output import console, printable

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as shown:
        task = shown.add_task(printable(label), total=total)
        yield lambda count: shown.advance(task, count)


def size_text(size: int) -> str:
    """For people: `512 B`, `1.5 KiB`, `2.0 GiB`."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"

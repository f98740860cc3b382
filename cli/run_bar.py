"""One line on a terminal for a run that is waited for: a spinner with what it does, and a bar while it moves files."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from cli.output import console, printable
from cli.progress import size_text

if TYPE_CHECKING:
    from activities.progress import Moved

_TEXT, _MOVED = "{task.description}", "{task.fields[moved]}"


class RunBar:
    """Shown while the body runs, gone afterwards."""

    def __init__(self, text: str) -> None:
        self.console: Console = console(sys.stderr)
        columns = (SpinnerColumn(), TextColumn(_TEXT, markup=False), _Bar(bar_width=30), TextColumn(_MOVED))
        self._progress = Progress(*columns, console=self.console, transient=True)
        self._task = self._progress.add_task(printable(text), total=None, moved="")

    def show(self, text: str, moved: "Moved | None") -> None:
        """What the run does, and how far it is."""
        told = "" if moved is None else _told(moved)
        done, total = (0, None) if moved is None else (moved.done, moved.total)
        self._progress.update(self._task, description=printable(text), completed=done, total=total, moved=told)

    def __enter__(self) -> "RunBar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class _Bar(BarColumn):
    """None for runs that move nothing."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]
        return super().render(task) if task.fields["moved"] else Text()


def _told(moved: "Moved") -> str:
    if moved.unit == "files":
        return f"{moved.done} of {moved.total} files" if moved.total else f"{moved.done} files"
    of = f" of {size_text(moved.total)}" if moved.total else ""
    return f"{size_text(moved.done)}{of}"

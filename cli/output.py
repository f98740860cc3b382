"""What commands print: tables and lines for people, one JSON document for programs.

Results go to standard output; progress, warnings and errors to standard error. With `--output json` an error is the
document: standard output holds exactly one, however the command ends.
"""

import functools
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import Complaint
from cli.streams import takes_unicode

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Output(StrEnum):
    """For people, or for programs."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="For people, or one JSON document for programs.", show_default=False)
]
"""The option that every verb has."""


class Printer:
    """Prints what one command has to say."""

    def __init__(self, output: Output) -> None:
        self.json = output is Output.JSON

    def document(self, value: Any) -> None:
        """The JSON document of a command; call it once."""
        print(dumps(value), flush=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
        """Rows under headings, or a sentence when there are none."""
        from rich.table import Column, Table

        # Folded where a terminal is too narrow: half of a name cannot be copied.
        table = Table(
            *(Column(name, overflow="fold") for name in columns), box=None, header_style="bold", pad_edge=False
        )
        for row in rows:
            table.add_row(*[_cell(cell) for cell in row])
        if table.row_count:
            show(table)
        else:
            self.line(empty)

    def fields(self, values: Mapping[str, object]) -> None:
        """Names and values, one a line; what is empty is left out."""
        from rich.table import Column, Table

        table = Table("", Column(overflow="fold"), box=None, show_header=False, pad_edge=False)
        for name, value in values.items():
            if value not in (None, "", [], {}):
                table.add_row(name, _cell(value))
        show(table)

    def line(self, text: str = "") -> None:
        """One line of text, as it is."""
        print(printable(text, sys.stdout), flush=True)


class Aside(Printer):
    """Of a command whose standard output is content: what there is to say about it goes to standard error."""

    def line(self, text: str = "") -> None:
        """One line of text, as it is."""
        note(text)


def note(text: str) -> None:
    """Something beside the result: to standard error."""
    print(printable(text, sys.stderr), file=sys.stderr)


@functools.cache
def note_once(text: str) -> None:
    """A note that a process need not repeat."""
    note(text)


def dumps(value: Any) -> str:
    """JSON as people read it, escaped where standard output could not take it."""
    return json.dumps(value, indent=2, ensure_ascii=not takes_unicode(), default=_plain)


def at_terminal() -> bool:
    """Whether a person reads standard output as it comes."""
    return sys.stdout.isatty()


def console(stream: IO[str]) -> "Console":
    """A console without markup or guessed highlights: names and messages are shown as they are.

    Where the width is unknown (a file, a pipe) lines are never folded.
    """
    from rich.console import Console

    width = None if stream.isatty() else 10_000
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False, width=width)


def show(renderable: "RenderableType") -> None:
    """Print a table or the like to standard output."""
    target = console(sys.stdout)
    with target.capture() as captured:
        target.print(renderable)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    print("\n".join(lines), flush=True)


def complain(complaint: Complaint, *, as_json: bool) -> None:
    """Tell an error: on standard error, or as the JSON document of the command."""
    if as_json:
        error = {"message": complaint.message, "exit_status": int(complaint.status), **complaint.details}
        print(dumps({"error": error}), flush=True)
    elif complaint.message:
        print(printable(f"error: {complaint.message}", sys.stderr), file=sys.stderr)


def printable(text: str, stream: IO[str] | None = None) -> str:
    """Control characters made visible where they would reach a terminal, which obeys some of them."""
    if stream is not None and not stream.isatty():
        return text
    return "".join(
        character if character in "\n\t" or character.isprintable() else _escaped(character) for character in text
    )


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits: `12s`, `5m`, `3h`, `8d`."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _cell(value: object) -> Any:
    from rich.text import Text

    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Text):
        return value
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    if isinstance(value, Mapping):
        value = "\n".join(f"{key}={item}" for key, item in value.items())
    return Text(printable(str(value)))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    return str(value)

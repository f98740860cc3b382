"""The `tieline` program: all verbs in one place, and how each of them ends."""

import asyncio
import contextlib
import functools
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cli import accounts, assets, call, definitions, keys, notify, profiles, runs, server, sftp, tokens
from cli.errors import Complaint, Status, debug_trace, explain
from cli.output import complain
from cli.streams import prepare

HELP = """Durable, authenticated calls to other people's systems.

Exit status: 0 done · 1 the run, test or check failed · 2 bad use or invalid definition · 3 a server cannot be reached
· 4 the run has not ended yet · 5 nobody knows what was asked (sftp exists) · 130 interrupted.
"""


def build() -> typer.Typer:
    """The verbs, in the order in which a newcomer needs them."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        context_settings={"help_option_names": ["--help", "-h"]},
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
    )
    app.callback(invoke_without_command=True)(_root)
    for module in (server, definitions, accounts, profiles, call, sftp, assets, runs, tokens, notify, keys):
        module.register(app)
    return app


@functools.cache
def _command() -> typer.core.TyperGroup:
    return typer.main.get_group(build())


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit status. Raises nothing."""
    prepare()
    try:
        result = _command().main(list(arguments) or ["--help"], prog_name="tieline", standalone_mode=False)
        return int(result or Status.DONE)
    except BrokenPipeError:
        return Status.FAILED  # the reader of our output has gone: nobody is left to tell
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:
        trace = debug_trace(error)
        if trace:
            print(trace, file=sys.stderr)
        complaint = explain(error)
        _tell(complaint, as_json=_wants_json(arguments))
        return complaint.status


def _tell(complaint: Complaint, *, as_json: bool) -> None:
    try:
        complain(complaint, as_json=as_json)
    except OSError:  # standard output is what failed
        with contextlib.suppress(OSError):
            complain(complaint, as_json=False)


def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(f"tieline {version_of('tieline')}")
        raise typer.Exit


def _wants_json(arguments: Sequence[str]) -> bool:
    """Asked of the raw arguments, because errors in the arguments are told in this form too."""
    for first, second in zip(arguments, [*arguments[1:], ""], strict=True):
        if first in ("--output=json", "-ojson") or (first in ("--output", "-o") and second == "json"):
            return True
    return False

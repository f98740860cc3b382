"""`tieline sftp`: files and folders on other people's servers, each command one durable run."""

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import moment
from cli.errors import CliError, Status, explain
from cli.output import Printer, note
from cli.session import Session
from cli.sftp_options import (
    AdapterArgument,
    MinAgeOption,
    NoFoldersOption,
    OverwriteOption,
    PathArgument,
    PermissionsOption,
    RecursiveOption,
    RunOptions,
    begin_run,
    is_not_found,
    looks_like_pattern,
    sftp_operation,
    with_run_options,
)
from cli.sftp_transfers import get, put
from cli.started import check_waiting, run_and_print

if TYPE_CHECKING:
    from definitions.run import RunResult
    from runtime.runs import Started


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="Move files to and from SFTP servers.", no_args_is_help=True)
    for command in (put, get, ls, stat, exists, mkdir, mv, rm, cp):
        group.command(command.__name__)(with_run_options(command))
    app.add_typer(group, name="sftp")


def ls(
    adapter: AdapterArgument,
    path: PathArgument = ".",
    glob: Annotated[str, typer.Option(help="Of the names: *, ?, [a-z].")] = "*",
    recursive: RecursiveOption = False,
    kind: Annotated[str, typer.Option(metavar="file|folder|any")] = "any",
    sort: Annotated[str, typer.Option(metavar="name|modified|size")] = "name",
    reverse: Annotated[bool, typer.Option("--reverse", help="The largest, or latest, first.")] = False,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Changed since: 2h, or 2026-11-25T08:00.")] = None,
    min_age: MinAgeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries of a page.")] = 200,
    cursor: Annotated[str | None, typer.Option(help="As the page before ended.")] = None,
    *,
    run: RunOptions,
) -> None:
    """List a folder."""
    wanted = {
        "type": "sftp.list",
        "path": path,
        "glob": glob,
        "recursive": recursive,
        "kind": kind,
        "sort": sort,
        "descending": reverse,
        "since": moment("--since", since, datetime.now(UTC)) if since else None,
        "min_age": min_age,
        "limit": limit,
        "cursor": cursor,
    }
    _run(adapter, wanted, run)


def stat(adapter: AdapterArgument, path: PathArgument, *, run: RunOptions) -> None:
    """Show what a file or folder is."""
    _run(adapter, {"type": "sftp.stat", "path": path}, run)


def exists(adapter: AdapterArgument, path: PathArgument, *, run: RunOptions) -> int:
    """Whether there is a file or folder: exit status 0, else 1; 5 when the run failed or was skipped, so that nobody
    knows.

    With --no-wait nobody knows yet: 0 means that the run has begun.
    """
    try:
        result = _run(adapter, {"type": "sftp.exists", "path": path}, run)
    except BrokenPipeError:
        raise
    except Exception as error:
        complaint = explain(error)
        if complaint.status is not Status.FAILED:
            raise
        raise CliError(complaint.message, Status.NO_ANSWER, **complaint.details) from error
    if result is None:
        return Status.DONE
    if result.sftp is None:
        note("nobody looked: the run was skipped by a decision")
        return Status.NO_ANSWER
    return Status.DONE if result.sftp.exists else Status.FAILED


def mkdir(
    adapter: AdapterArgument,
    path: PathArgument,
    permissions: PermissionsOption = None,
    no_parents: Annotated[bool, typer.Option("--no-parents", help="The one above it must be there.")] = False,
    *,
    run: RunOptions,
) -> None:
    """Make a folder, and those above it that are missing."""
    wanted = {"type": "sftp.mkdir", "path": path, "permissions": permissions, "parents": not no_parents}
    _run(adapter, wanted, run)


def mv(
    adapter: AdapterArgument,
    path: PathArgument,
    to: Annotated[str, typer.Argument(metavar="TO", help="The new path; a folder, when it ends with /.")],
    overwrite: Annotated[str, typer.Option(metavar="fail|replace", help="What if that is there already.")] = "fail",
    no_folders: NoFoldersOption = False,
    *,
    run: RunOptions,
) -> None:
    """Give a file or folder another name."""
    wanted = {"type": "sftp.move", "path": path, "to": to, "overwrite": overwrite, "make_folders": not no_folders}
    _run(adapter, wanted, run)


def rm(
    adapter: AdapterArgument,
    path: PathArgument,
    recursive: RecursiveOption = False,
    missing_ok: Annotated[bool, typer.Option("--missing-ok", help="Nothing there is no fault.")] = False,
    *,
    run: RunOptions,
) -> None:
    """Delete a file or folder."""
    wanted = {"type": "sftp.delete", "path": path, "recursive": recursive, "missing_ok": missing_ok}
    _run(adapter, wanted, run)


def cp(
    adapter: AdapterArgument,
    path: PathArgument,
    to: Annotated[str, typer.Argument(metavar="TO", help="The copy; in a folder, when it ends with /.")],
    overwrite: OverwriteOption = "fail",
    no_folders: NoFoldersOption = False,
    *,
    run: RunOptions,
) -> None:
    """Copy a file on the server."""
    wanted = {"type": "sftp.copy", "path": path, "to": to, "overwrite": overwrite, "make_folders": not no_folders}
    _run(adapter, wanted, run)


def _run(adapter: str, wanted: dict[str, Any], run: RunOptions) -> "RunResult | None":
    """None when nobody waited."""
    check_waiting(no_wait=run.no_wait, wait=run.wait)
    operation = sftp_operation({**wanted, **run.limits})

    async def begin(session: Session) -> "Started":
        return await begin_run(session, operation, adapter, run)

    try:
        return run_and_print(Printer(run.output), begin, no_wait=run.no_wait, wait=run.wait)
    except Exception as error:
        complaint = explain(error)
        if not is_not_found(complaint) or not looks_like_pattern(wanted["path"]):
            raise
        hint = _pattern_hint(wanted, f"{adapter} --profile {run.profile}")
        raise CliError(f"{complaint.message}\n{hint}", complaint.status, **complaint.details) from error


def _pattern_hint(wanted: dict[str, Any], where: str) -> str:
    """Where a pattern was typed for the one name that all but `get` take."""
    folder, _, pattern = wanted["path"].rpartition("/")
    command = f"tieline sftp ls {where} {shlex.quote(folder or '.')} --glob {shlex.quote(pattern)}"
    what = "a folder" if wanted["type"] == "sftp.list" else "one name, and no pattern"
    return f"PATH is {what} here; what fits a pattern is listed by: {command}"

"""`tieline sftp`: files and folders on other people's servers, each command one durable run."""

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import moment
from cli.errors import CliError, Status, explain
from cli.output import Output, OutputOption, Printer, note
from cli.session import Session
from cli.sftp_options import (
    AdapterArgument,
    KeyOption,
    MinAgeOption,
    NoWaitOption,
    OverwriteOption,
    PathArgument,
    PermissionsOption,
    ProfileOption,
    RecursiveOption,
    SubjectOption,
    begin_run,
    sftp_operation,
)
from cli.sftp_transfers import get, put
from cli.started import check_waiting, run_and_print
from cli.waiting import WaitOption

if TYPE_CHECKING:
    from definitions.run import RunResult
    from runtime.runs import Started


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="Move files to and from SFTP servers.", no_args_is_help=True)
    group.command("put")(put)
    group.command("get")(get)
    group.command("ls")(ls)
    group.command("stat")(stat)
    group.command("exists")(exists)
    group.command("mkdir")(mkdir)
    group.command("mv")(mv)
    group.command("rm")(rm)
    group.command("cp")(cp)
    app.add_typer(group, name="sftp")


def ls(
    adapter: AdapterArgument,
    path: PathArgument = ".",
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    glob: Annotated[str, typer.Option(help="Of the names: *, ?, [a-z].")] = "*",
    recursive: RecursiveOption = False,
    kind: Annotated[str, typer.Option(metavar="file|folder|any")] = "any",
    sort: Annotated[str, typer.Option(metavar="name|modified|size")] = "name",
    reverse: Annotated[bool, typer.Option("--reverse", help="The largest, or latest, first.")] = False,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Changed since: 2h, or 2026-11-25T08:00.")] = None,
    min_age: MinAgeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries of a page.")] = 200,
    cursor: Annotated[str | None, typer.Option(help="As the page before ended.")] = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
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
    _run(adapter, wanted, profile, subject, output, no_wait=no_wait, wait=wait)


def stat(
    adapter: AdapterArgument,
    path: PathArgument,
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what a file or folder is."""
    _run(adapter, {"type": "sftp.stat", "path": path}, profile, subject, output, no_wait=no_wait, wait=wait)


def exists(
    adapter: AdapterArgument,
    path: PathArgument,
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Whether there is a file or folder: exit status 0, else 1; 5 when the run failed or was skipped, so that nobody
    knows.

    With --no-wait nobody knows yet: 0 means that the run has begun.
    """
    try:
        result = _run(
            adapter, {"type": "sftp.exists", "path": path}, profile, subject, output, no_wait=no_wait, wait=wait
        )
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
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    permissions: PermissionsOption = None,
    no_parents: Annotated[bool, typer.Option("--no-parents", help="The one above it must be there.")] = False,
    key: KeyOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a folder, and those above it that are missing."""
    wanted = {"type": "sftp.mkdir", "path": path, "permissions": permissions, "parents": not no_parents}
    _run(adapter, wanted, profile, subject, output, key=key, no_wait=no_wait, wait=wait)


def mv(
    adapter: AdapterArgument,
    path: PathArgument,
    to: Annotated[str, typer.Argument(metavar="TO", help="The new path; a folder, when it ends with /.")],
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    overwrite: Annotated[str, typer.Option(metavar="fail|replace", help="What if that is there already.")] = "fail",
    key: KeyOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a file or folder another name."""
    wanted = {"type": "sftp.move", "path": path, "to": to, "overwrite": overwrite}
    _run(adapter, wanted, profile, subject, output, key=key, no_wait=no_wait, wait=wait)


def rm(
    adapter: AdapterArgument,
    path: PathArgument,
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    recursive: RecursiveOption = False,
    missing_ok: Annotated[bool, typer.Option("--missing-ok", help="Nothing there is no fault.")] = False,
    key: KeyOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete a file or folder."""
    wanted = {"type": "sftp.delete", "path": path, "recursive": recursive, "missing_ok": missing_ok}
    _run(adapter, wanted, profile, subject, output, key=key, no_wait=no_wait, wait=wait)


def cp(
    adapter: AdapterArgument,
    path: PathArgument,
    to: Annotated[str, typer.Argument(metavar="TO", help="The copy; in a folder, when it ends with /.")],
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    overwrite: OverwriteOption = "fail",
    key: KeyOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Copy a file on the server."""
    wanted = {"type": "sftp.copy", "path": path, "to": to, "overwrite": overwrite}
    _run(adapter, wanted, profile, subject, output, key=key, no_wait=no_wait, wait=wait)


def _run(
    adapter: str,
    wanted: dict[str, Any],
    profile: str,
    subject: str | None,
    output: Output,
    *,
    key: str | None = None,
    no_wait: bool,
    wait: float | None,
) -> "RunResult | None":
    """None when nobody waited."""
    check_waiting(no_wait=no_wait, wait=wait)
    operation = sftp_operation(wanted)

    async def begin(session: Session) -> "Started":
        return await begin_run(session, operation, adapter, profile, subject, key)

    try:
        return run_and_print(Printer(output), begin, no_wait=no_wait, wait=wait)
    except Exception as error:
        complaint = explain(error)
        missing = complaint.details.get("failure", {}).get("category") == "not_found"
        if not missing or not any(sign in wanted["path"] for sign in "*?["):
            raise
        hint = _pattern_hint(wanted, f"{adapter} --profile {profile}")
        raise CliError(f"{complaint.message}\n{hint}", complaint.status, **complaint.details) from error


def _pattern_hint(wanted: dict[str, Any], where: str) -> str:
    """Where a pattern was typed for the one name that all but `get` take."""
    folder, _, pattern = wanted["path"].rpartition("/")
    command = f"tieline sftp ls {where} {shlex.quote(folder or '.')} --glob {shlex.quote(pattern)}"
    what = "a folder" if wanted["type"] == "sftp.list" else "one name, and no pattern"
    return f"PATH is {what} here; what fits a pattern is listed by: {command}"

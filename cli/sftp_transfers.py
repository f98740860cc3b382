"""`tieline sftp put` and `get`: files of this machine, through assets."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import moment
from cli.errors import CliError, Status, explain
from cli.fetched import check_names, check_place, write_all
from cli.files import is_stdout
from cli.output import Aside, Output, Printer, note
from cli.session import Session
from cli.sftp_answer import tell_beside, tell_failed
from cli.sftp_options import (
    AdapterArgument,
    MinAgeOption,
    NoFoldersOption,
    OverwriteOption,
    PermissionsOption,
    RunOptions,
    begin_run,
    check_bound,
    is_not_found,
    looks_like_pattern,
    sftp_operation,
)
from cli.sftp_sources import to_send
from cli.started import check_waiting, run_and_print

if TYPE_CHECKING:
    from definitions.run import AnyOperation, RunResult
    from runtime.runs import Started


def put(
    adapter: AdapterArgument,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE… TO",
            help="Files of this machine (- is standard input), then where they go: a folder, when it ends with /.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(metavar="TARGET=FILE", help="A FILE with a target of its own. May be repeated.")
    ] = None,
    asset: Annotated[
        list[str] | None,
        typer.Option(metavar="[TARGET=]SHA256", help="A stored asset in place of a FILE. May be repeated."),
    ] = None,
    from_http: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="[TARGET=]ADAPTER:PATH",
            help="The answer to a GET in place of a FILE, streamed on. May be repeated.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of the requests of --from. May be repeated.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What standard input, or the only file, is called.", show_default="as TO, or as it is"),
    ] = None,
    overwrite: OverwriteOption = "fail",
    verify: Annotated[
        str, typer.Option(metavar="auto|size|read_back", help="How the upload is compared with its source.")
    ] = "auto",
    checksum: Annotated[bool, typer.Option("--checksum", help="Publish NAME.sha256 before each file.")] = False,
    marker: Annotated[
        str | None, typer.Option(metavar="PATH", help="Publish an empty file after each, such as {name}.done.")
    ] = None,
    permissions: PermissionsOption = None,
    modified: Annotated[
        str | None, typer.Option(metavar="TIME", help="When they last changed: 2h ago as 2h, or 2026-11-25T08:00.")
    ] = None,
    no_folders: NoFoldersOption = False,
    *,
    run: RunOptions,
) -> None:
    """Send files: each is seen under its final name when it is whole, and not before."""
    check_waiting(no_wait=run.no_wait, wait=run.wait)
    planned = to_send(
        names or [], own=file or [], assets=asset or [], answers=from_http or [], headers=header or [], name=name
    )
    fields = {
        "type": "sftp.upload",
        "overwrite": overwrite,
        "verify": verify,
        "checksum_file": checksum,
        "marker_file": marker,
        "permissions": permissions,
        "modified_at": moment("--modified", modified, datetime.now(UTC)) if modified else None,
        "make_folders": not no_folders,
        **run.limits,
    }

    def sending(sources: "list[dict[str, Any]]") -> "AnyOperation":
        files = [{"source": source, "path": each.target} for source, each in zip(sources, planned, strict=True)]
        return sftp_operation({**fields, "files": files})

    # Everything that can be wrong is found before a byte is stored.
    sending([each.planned() for each in planned])

    async def begin(session: Session) -> "Started":
        found = [await each.found(session) for each in planned]
        await check_bound(session, sending([each.planned() for each in found]), adapter, run)
        return await begin_run(session, sending([await each.stored(session) for each in found]), adapter, run)

    result = run_and_print(Printer(run.output), begin, no_wait=run.no_wait, wait=run.wait)
    if result is not None and result.sftp is not None and run.output is not Output.JSON:
        tell_beside(result.sftp.files, checksum=checksum, marker=marker)


def get(
    adapter: AdapterArgument,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH…", help="Below the account's root folder; may hold *, ? and [a-z].")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            "-t",
            metavar="FILE|FOLDER|-",
            help="Where they are written; - is standard output.",
            show_default="the current folder",
        ),
    ] = None,
    literal: Annotated[bool, typer.Option("--literal", help="*, ? and [ in a PATH stand for themselves.")] = False,
    after: Annotated[
        str, typer.Option(metavar="keep|delete|move", help="What becomes of the source when the file is safe.")
    ] = "keep",
    move_to: Annotated[str | None, typer.Option(metavar="PATH", help="With --after move.")] = None,
    min_age: MinAgeOption = None,
    sha256: Annotated[str | None, typer.Option(help="What the file must have.")] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Largest file.", show_default="10 GiB")] = None,
    media_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Of the assets, such as text/csv.", show_default="by the names")
    ] = None,
    only_asset: Annotated[bool, typer.Option("--only-asset", help="Keep them as assets, and write no file.")] = False,
    *,
    run: RunOptions,
) -> int:
    """Fetch files into assets, and write them here: exit status 1 when some of them failed."""
    check_waiting(no_wait=run.no_wait, wait=run.wait)
    patterns = [path for path in paths if not literal and looks_like_pattern(path)]
    if patterns and len(patterns) != len(paths):
        raise CliError(
            "patterns and plain paths cannot be mixed in one command: give them one each, or say --literal if none of "
            "them is a pattern"
        )
    place = _place(to, only_asset=only_asset, no_wait=run.no_wait)
    if place is not None:
        check_place(place, many=bool(patterns) or len(paths) > 1, as_json=run.output is Output.JSON)
        check_names(place, [] if patterns else paths)
    operation = sftp_operation(
        {
            "type": "sftp.download",
            "paths": paths,
            "glob": bool(patterns),
            "after": after,
            "move_to": move_to,
            "min_age": min_age,
            "sha256": sha256,
            "max_bytes": max_bytes,
            "media_type": media_type,
            **run.limits,
        }
    )

    async def write(session: Session, result: "RunResult") -> None:
        if result.sftp is None or place is None:
            return
        try:
            await write_all(session.stores.assets, result.sftp.files, place)
        except CliError:
            tell_failed(result.sftp.failed)
            raise

    async def begin(session: Session) -> "Started":
        return await begin_run(session, operation, adapter, run)

    printer = Aside(run.output) if place is not None and is_stdout(place) else Printer(run.output)
    try:
        result = run_and_print(printer, begin, no_wait=run.no_wait, wait=run.wait, finish=write)
    except Exception as error:
        complaint = explain(error)
        folders = [path.rpartition("/")[0] for path in patterns]
        if not is_not_found(complaint) or not any(map(looks_like_pattern, folders)):
            raise
        told = "only the last part of a PATH may be a pattern: fetch from one folder after the other"
        raise CliError(f"{complaint.message}\n{told}", complaint.status, **complaint.details) from error
    if run.no_wait and not only_asset:
        note("its files will be assets, and are not written here: tieline assets get SHA256 FILE")
    failed = result is not None and result.sftp is not None and result.sftp.failed
    return Status.FAILED if failed else Status.DONE


def _place(to: str | None, *, only_asset: bool, no_wait: bool) -> str | None:
    """Where files are written; None: nowhere."""
    if to is not None and only_asset:
        raise CliError("--only-asset writes no file: leave --to out")
    if to is not None and no_wait:
        raise CliError("--to waits for the files: leave --no-wait out, or fetch them later with tieline assets get")
    return None if only_asset or no_wait else to or "."

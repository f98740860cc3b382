"""`tieline sftp put` and `get`: files of this machine, through assets."""

import mimetypes
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl

import typer

from cli.arguments import moment
from cli.errors import CliError
from cli.fetched import check_names, check_place, write_all
from cli.files import is_stdout, name_of, opened, pieces, size_of
from cli.output import Aside, Output, OutputOption, Printer
from cli.progress import progress
from cli.session import Session
from cli.sftp_answer import tell_beside
from cli.sftp_options import (
    AdapterArgument,
    GiveUpOption,
    KeyOption,
    MinAgeOption,
    NoWaitOption,
    OnFailureOption,
    OverwriteOption,
    ParkOption,
    PermissionsOption,
    ProfileOption,
    StallOption,
    SubjectOption,
    TimeoutOption,
    begin_run,
    check_bound,
    limits,
    sftp_operation,
)
from cli.started import check_waiting, run_and_print
from cli.waiting import WaitOption

if TYPE_CHECKING:
    from definitions.asset import Asset
    from definitions.run import AnyOperation, RunResult
    from runtime.runs import Started


def put(
    adapter: AdapterArgument,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE… TO",
            help="Files of this machine (- is standard input), then where they go: a folder, when it ends with /.",
        ),
    ],
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    from_http: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="ADAPTER:PATH", help="The answer to a GET in place of a FILE, streamed on."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What standard input is called.", show_default="as TO")] = None,
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
    no_folders: Annotated[bool, typer.Option("--no-folders", help="Do not make folders that are missing.")] = False,
    key: KeyOption = None,
    timeout: TimeoutOption = None,
    stall_after: StallOption = None,
    give_up_after: GiveUpOption = None,
    on_failure: OnFailureOption = None,
    park_for: ParkOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send files: each is seen under its final name when it is whole, and not before."""
    check_waiting(no_wait=no_wait, wait=wait)
    *files, target = names
    if not files and not from_http:
        raise CliError("nothing to send: say FILE… and then where they go, or --from ADAPTER:PATH")
    sources = [_http_source(each) for each in from_http or []]
    _check_target(len(files) + len(sources), target)
    options = {
        "type": "sftp.upload",
        "overwrite": overwrite,
        "verify": verify,
        "checksum_file": checksum,
        "marker_file": marker,
        "permissions": permissions,
        "modified_at": moment("--modified", modified, datetime.now(UTC)) if modified else None,
        "make_folders": not no_folders,
        **limits(timeout, stall_after, give_up_after, on_failure, park_for),
    }
    called = [_called(each, name, target) for each in files]

    def sending(assets: "list[dict[str, Any]]") -> "AnyOperation":
        wanted = [{"type": "asset", "asset": each} for each in assets] + sources
        return sftp_operation({**options, "files": [{"source": each, "path": target} for each in wanted]})

    # Everything that can be wrong is found before a byte is stored.
    unfilled = sending([_unstored(each) for each in called])

    async def begin(session: Session) -> "Started":
        await check_bound(session, unfilled, adapter, profile, subject)
        stored = [await _store(session, file, each) for file, each in zip(files, called, strict=True)]
        operation = sending([each.model_dump() for each in stored])
        return await begin_run(session, operation, adapter, profile, subject, key)

    result = run_and_print(Printer(output), begin, no_wait=no_wait, wait=wait)
    if result is not None and result.sftp is not None and output is not Output.JSON:
        tell_beside(result.sftp.files, checksum=checksum, marker=marker)


def get(
    adapter: AdapterArgument,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH…", help="Below the account's root folder; may hold *, ? and [a-z].")
    ],
    to: Annotated[
        str, typer.Option("--to", "-t", metavar="FILE|FOLDER|-", help="Where they are written; - is standard output.")
    ] = ".",
    profile: ProfileOption = "dev",
    subject: SubjectOption = None,
    literal: Annotated[bool, typer.Option("--literal", help="*, ? and [ in a PATH stand for themselves.")] = False,
    after: Annotated[
        str, typer.Option(metavar="keep|delete|move", help="What becomes of the source when the file is safe.")
    ] = "keep",
    move_to: Annotated[str | None, typer.Option(metavar="PATH", help="With --after move.")] = None,
    min_age: MinAgeOption = None,
    sha256: Annotated[str | None, typer.Option(help="What the file must have.")] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Largest file.", show_default="10 GiB")] = None,
    only_asset: Annotated[bool, typer.Option("--only-asset", help="Keep them as assets, and write no file.")] = False,
    key: KeyOption = None,
    timeout: TimeoutOption = None,
    stall_after: StallOption = None,
    give_up_after: GiveUpOption = None,
    on_failure: OnFailureOption = None,
    park_for: ParkOption = None,
    no_wait: NoWaitOption = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Fetch files into assets, and write them here."""
    check_waiting(no_wait=no_wait, wait=wait)
    patterns = [path for path in paths if not literal and any(sign in path for sign in "*?[")]
    if patterns and len(patterns) != len(paths):
        raise CliError(
            "patterns and plain paths cannot be mixed in one command: give them one each, or say --literal if none of "
            "them is a pattern"
        )
    if not only_asset:
        check_place(to, many=bool(patterns) or len(paths) > 1, as_json=output is Output.JSON)
        check_names(to, [] if patterns else paths)
    operation = sftp_operation(
        {
            "type": "sftp.download",
            "paths": paths,
            "glob": bool(patterns),
            "after": after,
            "move_to": move_to,
            "min_age": min_age,
            "sha256": sha256,
            **({"max_bytes": max_bytes} if max_bytes else {}),
            **limits(timeout, stall_after, give_up_after, on_failure, park_for),
        }
    )

    async def write(session: Session, result: "RunResult") -> None:
        if result.sftp is not None and not only_asset:
            await write_all(session.stores.assets, result.sftp.files, to)

    async def begin(session: Session) -> "Started":
        return await begin_run(session, operation, adapter, profile, subject, key)

    content = is_stdout(to) and not only_asset and not no_wait
    printer = Aside(output) if content else Printer(output)
    run_and_print(printer, begin, no_wait=no_wait, wait=wait, finish=write)


def _check_target(count: int, target: str) -> None:
    if count > 1 and not target.endswith("/") and "{name}" not in target:
        raise CliError(f"{count} files cannot all be called {target}: name a folder, with / at its end")


def _http_source(text: str) -> dict[str, Any]:
    adapter, colon, path = text.partition(":")
    if not colon or not adapter or not path:
        raise CliError(f"--from {text!r}: expected ADAPTER:PATH, such as crm:exports/march.csv")
    bare, _, query = path.partition("?")
    return {"type": "http", "adapter": adapter, "path": bare, "query": parse_qsl(query, keep_blank_values=True)}


def _called(file: str, name: str | None, target: str) -> str:
    if file != "-":
        return name_of(file, "rename it, or send it as standard input (-), with --name")
    from definitions.asset import check_file_name

    called = name or target.rpartition("/")[2]
    if called in ("", ".") or (name is None and "{name}" in called):
        raise CliError("standard input has no name: say what it is called with --name, or at the end of TO")
    try:
        return check_file_name(called)
    except ValueError as error:
        raise CliError(f"{'--name' if name else 'TO'}: {error}") from None


def _unstored(called: str) -> dict[str, Any]:
    """In place of an asset; what names a folder will be told when it is opened."""
    name = {"name": called} if called not in ("", "..") else {}
    return {"sha256": "0" * 64, "size": 0, **name}


async def _store(session: Session, file: str, called: str) -> "Asset":
    from storage.assets import USER

    media_type = mimetypes.guess_type(called)[0] or "application/octet-stream"
    with opened(file) as source, progress(called, size_of(source)) as advance:
        return await session.stores.assets.put(pieces(source, advance), name=called, media_type=media_type, holder=USER)

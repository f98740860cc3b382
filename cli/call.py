"""`tieline call`: one operation as a durable run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CliError
from cli.files import counted, is_stdout, write_to, write_whole
from cli.operation import BodyOptions, build_operation, with_asset
from cli.output import Output, OutputOption, Printer, note
from cli.progress import progress
from cli.session import Session
from cli.started import check_waiting, run_and_print, start
from cli.waiting import WaitOption

if TYPE_CHECKING:
    from definitions.asset import Asset
    from definitions.run import RunResult
    from runtime.runs import Started

ProfileOption = Annotated[str, typer.Option("--profile", "-p", envvar="TIELINE_PROFILE", help="The environment.")]


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("call")(call)


def call(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="The adapter, as the profile names it.")],
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")],
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="Relative to the base URL, or a URL of an allowed host; may hold a ?query."
        ),
    ],
    profile: ProfileOption = "dev",
    subject: Annotated[
        str | None, typer.Option(help="The app's end user, where accounts are bound per subject.")
    ] = None,
    query: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="May be repeated.")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="May be repeated.")] = None,
    json: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="A JSON body.")] = None,
    form: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A field of a form body.")] = None,
    file: Annotated[list[str] | None, typer.Option(metavar="NAME=@PATH", help="A file of a multipart body.")] = None,
    text: Annotated[str | None, typer.Option(metavar="TEXT|@FILE", help="A text, XML or SOAP body.")] = None,
    body: Annotated[str | None, typer.Option(metavar="TEXT|@FILE", help="A body of bytes as they are.")] = None,
    asset: Annotated[str | None, typer.Option(metavar="SHA256", help="A body that is an asset, streamed.")] = None,
    sftp: Annotated[
        str | None, typer.Option(metavar="ADAPTER:PATH", help="A body that is a file of an SFTP server, streamed.")
    ] = None,
    media_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Of --text, --body, --asset or --sftp.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="A second call with the same key finds the first one's run.")] = None,
    extract: Annotated[str | None, typer.Option(metavar="JMESPATH", help="The part of the answer to keep.")] = None,
    success: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="2xx, 404 or 200-204.")] = None,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Of one attempt.", show_default="30s")] = None,
    give_up_after: Annotated[str | None, typer.Option(metavar="TIME", help="All attempts.", show_default="24h")] = None,
    idempotent: Annotated[
        bool | None, typer.Option("--idempotent/--not-idempotent", help="Whether it may be sent twice.")
    ] = None,
    on_failure: Annotated[str | None, typer.Option(metavar="fail|park", help="On a final error.")] = None,
    save: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keep the answer as an asset, and write it there; - is stdout.")
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(metavar="auto|value|asset", help="auto: an asset where it is too large.", show_default="auto"),
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Largest answer that is a value.", show_default="1048576")
    ] = None,
    max_asset_bytes: Annotated[
        int | None, typer.Option(min=1, help="Largest answer that is an asset.", show_default="1073741824")
    ] = None,
    stall_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="A streamed body may stand still so long.", show_default="60s")
    ] = None,
    transfer_timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="And take so long in all.", show_default="1h")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the run's id at once.")] = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Call somebody else's API through an adapter; retried while that is safe, never sent twice when it is not."""
    from definitions.refs import CredentialRef

    check_waiting(no_wait=no_wait, wait=wait)
    printer = Printer(output)
    _check_saving(save, answer, printer, no_wait=no_wait)
    operation = build_operation(
        method,
        path,
        query or [],
        header or [],
        BodyOptions(json, tuple(form or ()), tuple(file or ()), text, body, media_type, asset, sftp),
        extract=extract,
        success=success,
        timeout=timeout,
        give_up_after=give_up_after,
        idempotent=idempotent,
        on_failure=on_failure,
        answer=answer if save is None else "asset",
        max_bytes=max_bytes,
        max_asset_bytes=max_asset_bytes,
        stall_after=stall_after,
        transfer_timeout=transfer_timeout,
    )
    credential = CredentialRef(adapter=adapter, profile=profile, subject=subject)

    async def begin(session: Session) -> "Started":
        wanted = operation if asset is None else with_asset(operation, await _find(session, asset))
        return await start(session, wanted, credential, key)

    async def finish(session: Session, result: "RunResult") -> None:
        if save is not None:
            await _save(session, result, save)

    run_and_print(printer, begin, no_wait=no_wait, wait=wait, finish=finish, saved=save)


def _check_saving(save: str | None, answer: str | None, printer: Printer, *, no_wait: bool) -> None:
    if save is None:
        return
    if no_wait:
        raise CliError("--save waits for the answer: leave --no-wait out, or fetch it later with tieline assets get")
    if answer not in (None, "asset"):
        raise CliError("--save keeps the answer as an asset: leave --answer out")
    if is_stdout(save) and printer.json:
        raise CliError("--output json and the answer cannot both go to standard output: name a file")


async def _find(session: Session, sha256: str) -> "Asset":
    assets = session.stores.assets
    return (await assets.info(await assets.resolve(sha256))).asset()


async def _save(session: Session, result: "RunResult", file: str) -> None:
    asset = result.call.asset if result.call else None
    if asset is None:
        note(f"there is no body to be written to {file}")
        return
    with progress(asset.name, asset.size) as advance:
        chunks = counted(session.stores.assets.read(asset), advance)
        if is_stdout(file):
            await write_to(sys.stdout.buffer, chunks)
        else:
            await write_whole(Path(file), chunks, replace=True)

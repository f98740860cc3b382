"""`tieline call`: one operation as a durable run."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.answer import print_result
from cli.errors import CliError
from cli.operation import BodyOptions, build_operation
from cli.output import Output, OutputOption, Printer, note
from cli.session import Session, with_runs
from cli.waiting import WaitOption, wait_for

if TYPE_CHECKING:
    from definitions.operation import HttpOperation
    from definitions.refs import CredentialRef
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
    media_type: Annotated[str | None, typer.Option(metavar="TYPE", help="Of --text or --body.")] = None,
    key: Annotated[str | None, typer.Option(help="A second call with the same key finds the first one's run.")] = None,
    extract: Annotated[str | None, typer.Option(metavar="JMESPATH", help="The part of the answer to keep.")] = None,
    success: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="2xx, 404 or 200-204.")] = None,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Of one attempt.", show_default="30s")] = None,
    give_up_after: Annotated[str | None, typer.Option(metavar="TIME", help="All attempts.", show_default="24h")] = None,
    idempotent: Annotated[
        bool | None, typer.Option("--idempotent/--not-idempotent", help="Whether it may be sent twice.")
    ] = None,
    on_failure: Annotated[str | None, typer.Option(metavar="fail|park", help="On a final error.")] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Largest answer.", show_default="1048576")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the run's id at once.")] = False,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Call somebody else's API through an adapter; retried while that is safe, never sent twice when it is not."""
    from definitions.refs import CredentialRef

    if no_wait and wait is not None:
        raise CliError("--no-wait and --wait exclude each other")
    operation = build_operation(
        method,
        path,
        query or [],
        header or [],
        BodyOptions(json, tuple(form or ()), tuple(file or ()), text, body, media_type),
        extract=extract,
        success=success,
        timeout=timeout,
        give_up_after=give_up_after,
        idempotent=idempotent,
        on_failure=on_failure,
        max_bytes=max_bytes,
    )
    credential = CredentialRef(adapter=adapter, profile=profile, subject=subject)
    printer = Printer(output)

    async def go(session: Session) -> "tuple[Started, RunResult | None]":
        started = await _start(session, operation, credential, key)
        if no_wait:
            return started, None
        note(_told(started))
        return started, await wait_for(session.runs, started.id, wait)

    started, result = with_runs(go)
    if result is None:
        _print_started(printer, started)
    else:
        print_result(printer, started.id, result, duplicate=started.duplicate)


async def _start(
    session: Session, operation: "HttpOperation", credential: "CredentialRef", key: str | None
) -> "Started":
    from runtime.binding import bound_integration

    integration = await bound_integration(session.stores, credential)
    return await session.runs.start(operation, credential, integration, key=key)


def _told(started: "Started") -> str:
    found = " (found by its key; not started again)" if started.duplicate else ""
    return f"{started.id}  {started.summary}{found}"


def _print_started(printer: Printer, started: "Started") -> None:
    if printer.json:
        printer.document({"run": started.id, "duplicate": started.duplicate})
        return
    printer.line(started.id)
    note(f"{started.summary}: started; its answer: tieline runs result {started.id}")

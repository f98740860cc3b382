"""Start an operation as a run, and tell of it or wait for what it returns."""

from typing import TYPE_CHECKING

from cli.answer import print_result
from cli.errors import CliError
from cli.output import Printer, note
from cli.session import Session, with_runs
from cli.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from definitions.refs import CredentialRef
    from definitions.run import AnyOperation, RunResult
    from runtime.runs import Started


def check_waiting(*, no_wait: bool, wait: float | None) -> None:
    """Raises CliError."""
    if no_wait and wait is not None:
        raise CliError("--no-wait and --wait exclude each other")


async def start(session: Session, operation: "AnyOperation", credential: "CredentialRef", key: str | None) -> "Started":
    """Raises what `Runs.start` and `bound_for` do."""
    from runtime.binding import bound_for

    integration = await bound_for(session.stores, operation, credential)
    return await session.runs.start(operation, credential, integration, key=key)


def run_and_print(
    printer: Printer,
    begin: "Callable[[Session], Awaitable[Started]]",
    *,
    no_wait: bool,
    wait: float | None,
    finish: "Callable[[Session, RunResult], Awaitable[None]] | None" = None,
    saved: str | None = None,
) -> "RunResult | None":
    """Start a run and print what it returned; None when nobody waited. `finish` is done before that is printed.

    `saved`: the file to which that has written the answer.
    """

    async def go(session: Session) -> "tuple[Started, RunResult | None]":
        started = await begin(session)
        if no_wait:
            return started, None
        note(_told(started))
        result = await wait_for(session.runs, started.id, wait)
        if finish is not None:
            await _finished(finish, session, started, result)
        return started, result

    started, result = with_runs(go)
    if result is None:
        _print_started(printer, started)
    else:
        print_result(printer, started.id, result, saved=saved, duplicate=started.duplicate)
    return result


async def _finished(
    finish: "Callable[[Session, RunResult], Awaitable[None]]", session: Session, started: "Started", result: "RunResult"
) -> None:
    """The run did what it was to do, even where something then fails here: programs are told what, too."""
    try:
        await finish(session, result)
    except CliError as error:
        error.details = {"run": started.id, **error.details, "result": result.model_dump(mode="json")}
        raise


def _told(started: "Started") -> str:
    found = " (found by its key; not started again)" if started.duplicate else ""
    return f"{started.id}  {started.summary}{found}"


def _print_started(printer: Printer, started: "Started") -> None:
    if printer.json:
        printer.document({"run": started.id, "duplicate": started.duplicate})
        return
    printer.line(started.id)
    note(f"{started.summary}: started; its answer: tieline runs result {started.id}")

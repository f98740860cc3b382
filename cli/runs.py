"""`tieline runs`: what ran, what waits, and what somebody decides about it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answer import print_result
from cli.arguments import json_value, moment
from cli.errors import CliError
from cli.host_keys import user
from cli.output import Output, OutputOption, Printer, ago, at_terminal
from cli.session import Session, with_runs
from cli.waiting import WaitOption, hints, wait_for

if TYPE_CHECKING:
    from definitions.run import Decision, RunResult
    from runtime.history import Step
    from runtime.run_filter import RunFilter
    from runtime.runs import RunSummary

ACTIONS = ("retry", "skip", "fail", "trust")

SHORT = len("run-") + 12
LONG = timedelta(minutes=5)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or enough of its beginning.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="List, read, decide about and cancel runs.", no_args_is_help=True)
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("result")(result)
    group.command("decide")(decide)
    group.command("cancel")(cancel)
    app.add_typer(group, name="runs")


def list_runs(
    state: Annotated[str | None, typer.Option(help="Such as running, waiting_for_reconnect, failed.")] = None,
    adapter: Annotated[str | None, typer.Option()] = None,
    profile: Annotated[str | None, typer.Option()] = None,
    definition: Annotated[str | None, typer.Option(help="Key of the integration.")] = None,
    account: Annotated[str | None, typer.Option(help="The account that they wait for.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Started since: 1h, 7d, or a date.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Started until.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List runs: those under way first, then those that have ended, the newest first."""
    now = datetime.now(UTC)
    which = _filter(state, adapter, profile, definition, account, since, until, now)

    async def found(session: Session) -> "list[RunSummary]":
        return [run async for run in session.runs.list(which, limit=limit)]

    runs = with_runs(found)
    printer = Printer(output)
    if printer.json:
        printer.document([as_json(run) for run in runs])
        return
    rows = [
        (shown_id(run.id), run.state.replace("_", " "), run.summary, f"{ago(run.started, now)} ago") for run in runs
    ]
    printer.table(("RUN", "STATE", "WHAT", "STARTED"), rows, empty="No run fits. Start one: tieline call --help")
    for line in (*_waiting_for_accounts(runs), *_long_under_way(runs, now)):
        printer.line(line)


def _waiting_for_accounts(runs: "Sequence[RunSummary]") -> list[str]:
    """One paragraph for each account that runs wait for: one person mends it once, for all of them."""
    from runtime.waits import waits_of

    told = []
    for wait in waits_of(runs):
        count = "1 of these runs waits" if len(wait.runs) == 1 else f"{len(wait.runs)} of these runs wait"
        since = f"{wait.since.astimezone():%Y-%m-%d %H:%M:%S}"
        about, what = (f"account {wait.account}: ", "that") if wait.host_key else ("", "it")
        longest = f"{count} for {what}, the longest since {since}"
        told.append(f"\n{about}{wait.latest.message}\n{longest}. Next step: {wait.next_step}")
    return told


def _long_under_way(runs: "Sequence[RunSummary]", now: datetime) -> list[str]:
    """Lists do not tell which of them fail, and are tried again: that takes a question about each."""
    count = sum(run.state == "running" and now - run.started > LONG for run in runs)
    if not count:
        return []
    who = "1 of these runs has" if count == 1 else f"{count} of these runs have"
    return [f"\n{who} been under way for more than 5 minutes: tieline doctor tells which are tried again, and why"]


def show(run: RunArgument, output: OutputOption = Output.TABLE) -> None:
    """Show a run and its history."""

    async def look(session: Session) -> "tuple[RunSummary, Sequence[Step], list[str]]":
        summary, steps = await session.runs.show(await full_id(session, run))
        return summary, steps, await hints(session.runs, summary, steps)

    summary, steps, because = with_runs(look)
    printer = Printer(output)
    if printer.json:
        printer.document({**as_json(summary), "history": [_step_as_json(step) for step in steps]})
        return
    _print_run(printer, summary, steps, because)


def result(run: RunArgument, wait: WaitOption = None, output: OutputOption = Output.TABLE) -> None:
    """Print what a run returned, as `call` does; waits for one that has not ended."""

    async def look(session: Session) -> "tuple[str, RunResult]":
        run_id = await full_id(session, run)
        return run_id, await wait_for(session.runs, run_id, wait)

    run_id, returned = with_runs(look)
    print_result(Printer(output), run_id, returned)


def decide(
    run: RunArgument,
    action: Annotated[
        str,
        typer.Argument(
            metavar="retry|skip|fail|trust",
            help="Send again, end with a value, or end failed; trust: take the server's new host key for its own.",
        ),
    ],
    why: Annotated[str, typer.Option(help="Stands in the run's history.")],
    who: Annotated[str | None, typer.Option(help="Who decides.", show_default="the user of this machine")] = None,
    value: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="With skip: what the run returns instead of an answer.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Decide about a run that waits: for its account, or as its outcome is unknown or its final error parked it."""
    decision = _decision(action, who, why, value)

    async def tell(session: Session) -> str:
        run_id = await full_id(session, run)
        await session.runs.decide(run_id, decision)
        return run_id

    run_id = with_runs(tell)
    printer = Printer(output)
    if printer.json:
        printer.document({"run": run_id, "decision": decision})
    else:
        printer.line(f"{run_id}: {action}, decided by {decision.who}")


def cancel(run: RunArgument, output: OutputOption = Output.TABLE) -> None:
    """Cancel a run. What was already sent stays sent."""

    async def stop(session: Session) -> str:
        run_id = await full_id(session, run)
        await session.runs.cancel(run_id)
        return run_id

    run_id = with_runs(stop)
    printer = Printer(output)
    if printer.json:
        printer.document({"run": run_id, "cancel": "requested"})
    else:
        printer.line(f"{run_id}: cancellation requested")


async def full_id(session: Session, given: str) -> str:
    """The id that a beginning of it stands for. Raises AmbiguousRun, RunNotFound."""
    from runtime.run_ids import find_run_id

    return await find_run_id(session.client, given)


def shown_id(run_id: str) -> str:
    """Whole for programs and files; on a terminal enough to be told apart and typed, so that a line has room."""
    return run_id[:SHORT] if at_terminal() else run_id


def as_json(run: "RunSummary") -> dict[str, Any]:
    """A run as programs read it."""
    return {field: getattr(run, field) for field in type(run).__dataclass_fields__}


def _step_as_json(step: "Step") -> dict[str, Any]:
    return {"at": step.at, "what": step.what, "failure": step.failure}


def _print_run(printer: Printer, run: "RunSummary", steps: "Sequence[Step]", because: Sequence[str]) -> None:
    fields = {**as_json(run), "state": run.state.replace("_", " ")}
    del fields["task_queue"]  # named where it matters: when nobody works on it
    del fields["waiting"]
    if run.waiting is not None:  # why, and what mends it, is told below
        fields["waits since"] = run.waiting.since
    printer.fields(fields)
    printer.line()
    for step in steps:
        printer.line(f"{step.at.astimezone():%Y-%m-%d %H:%M:%S}  {step.what}")
    if because:
        printer.line()
    for line in because:
        printer.line(line)


def _decision(action: str, who: str | None, why: str, value: str | None) -> "Decision":
    from pydantic import ValidationError

    from cli.arguments import validation_fault
    from definitions.run import Decision

    if action not in ACTIONS:
        raise CliError(f"{action!r} is no decision: give one of {', '.join(ACTIONS)}")
    if value is not None and action != "skip":
        raise CliError(f"--value belongs to skip: {action} returns no value")
    answer = None if value is None else json_value("--value", value)
    try:
        return Decision.model_validate({"action": action, "who": who or user(), "why": why, "value": answer})
    except ValidationError as error:
        raise validation_fault(error, {"who": "--who", "why": "--why", "value": "--value"}) from None


def _filter(
    state: str | None,
    adapter: str | None,
    profile: str | None,
    definition: str | None,
    account: str | None,
    since: str | None,
    until: str | None,
    now: datetime,
) -> "RunFilter":
    from auth.errors import suggestion
    from runtime.run_filter import STATES, RunFilter

    wanted = state.replace(" ", "_").replace("-", "_").lower() if state else None
    if wanted is not None and wanted not in STATES:
        raise CliError(
            f"--state {state!r}: there is no such state.{suggestion(wanted, STATES)} All: {', '.join(STATES)}"
        )
    return RunFilter(
        state=wanted,
        adapter=adapter,
        profile=profile,
        definition=definition,
        account=account,
        since=moment("--since", since, now) if since else None,
        until=moment("--until", until, now) if until else None,
    )

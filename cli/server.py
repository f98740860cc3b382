"""`tieline up`, `worker`, `gateway`, `prepare` and `doctor`: what runs here, and whether all is well."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from cli.errors import Status
from cli.output import Output, OutputOption, Printer
from cli.session import client_settings, server_settings

if TYPE_CHECKING:
    from runtime.findings import Finding
    from runtime.serve import Announce, Serving


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("up")(up)
    app.command("worker")(worker)
    app.command("gateway")(gateway)
    app.command("prepare")(prepare)
    app.command("doctor")(doctor)


def up(output: OutputOption = Output.TABLE) -> None:
    """Run everything on this machine: a Temporal server, unless one is configured, a worker and the HTTP API."""
    from gateway.serve import serve_all

    asyncio.run(serve_all(server_settings(), _announcement(output)))


def worker(output: OutputOption = Output.TABLE) -> None:
    """Run a worker only, for the Temporal server that is configured."""
    from runtime.serve import serve_worker

    asyncio.run(serve_worker(server_settings(), _announcement(output)))


def gateway(output: OutputOption = Output.TABLE) -> None:
    """Run the HTTP API only, for the Temporal server that is configured."""
    import uvloop

    from gateway.serve import serve_gateway

    uvloop.run(serve_gateway(server_settings(), _announcement(output)))


def prepare(output: OutputOption = Output.TABLE) -> None:
    """Make database and Temporal server ready: schema, key, namespace. To be run before the processes of a version."""
    from runtime.prepare import prepare

    made = asyncio.run(prepare(client_settings()))
    printer = Printer(output)
    if printer.json:
        printer.document(asdict(made))
        return
    printer.line(f"database: ready ({made.database})")
    printer.line(f"keys: ready, primary {made.primary_key}")
    printer.line(f"temporal: ready at {made.temporal}, namespace {made.namespace}")


def doctor(output: OutputOption = Output.TABLE) -> int:
    """Check what Tieline needs, and say what to do about what is wrong."""
    from runtime.doctor import examine

    findings = asyncio.run(examine(client_settings()))
    printer = Printer(output)
    if printer.json:
        printer.document([_as_json(finding) for finding in findings])
    else:
        rows = [(finding.state.value, finding.subject, finding.told) for finding in findings]
        printer.table(("", "WHAT", "FOUND"), rows, empty="Nothing was checked.")
    return _status(findings)


def _status(findings: "list[Finding]") -> Status:
    from runtime.findings import State

    states = {finding.state for finding in findings}
    if State.UNREACHABLE in states:
        return Status.UNREACHABLE
    return Status.FAILED if State.WRONG in states else Status.DONE


def _as_json(finding: "Finding") -> dict[str, Any]:
    return {
        "subject": finding.subject,
        "state": finding.state.value,
        "message": finding.message,
        "suggested_action": finding.action,
    }


def _announcement(output: Output) -> "Announce":
    printer = Printer(output)

    def announce(serving: "Serving") -> None:
        settings, temporal = serving.settings, serving.temporal
        facts = {
            "HTTP API": serving.gateway,
            "API docs": f"{serving.gateway}/docs" if serving.gateway else None,
            "Temporal UI": temporal.ui,
            "Temporal gRPC": temporal.address,
            "Task queue": settings.task_queue,
            "Data": str(settings.data_dir),
            "Health": f"http://{settings.health_address}/readyz" if settings.health_address else None,
            "Metrics": f"http://{settings.metrics_address}/metrics" if settings.metrics_address else None,
        }
        if printer.json:
            printer.document({name.lower().replace(" ", "_"): fact for name, fact in facts.items()})
            return
        printer.line("Tieline is up. Ctrl-C stops it; started again, it finds its old runs.\n")
        printer.fields({**facts, "Try next": "\n".join(NEXT)})

    return announce


NEXT = (
    "tieline apply FILE…                              publish integrations and profiles",
    "tieline accounts create NAME --integration KEY   connect an account",
    "tieline profiles set dev ADAPTER NAME            bind it",
    "tieline call ADAPTER GET /path                   call through it",
    "tieline doctor                                   see whether all is well",
)
"""In the order in which a newcomer needs them; the commands find this server by the data folder."""

"""`tieline notify`: whether people would be told when they must act."""

import asyncio
from typing import TYPE_CHECKING

import typer

from cli.errors import Status
from cli.output import Output, OutputOption, Printer, note
from cli.session import logging_settings

if TYPE_CHECKING:
    from definitions.notification import Notification
    from runtime.notifiers import Notifier
    from runtime.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="Telling people when they must act.", no_args_is_help=True)
    group.callback()(_group)
    group.command("test")(try_out)
    app.add_typer(group, name="notify")


def _group() -> None:
    """With a callback, a group of one verb stays a group."""


def try_out(output: OutputOption = Output.TABLE) -> int:
    """Send a test notification by every way that is configured, and say what became of each."""
    from runtime.notifiers import destinations

    settings = logging_settings()  # as a worker logs: what the log is told shall be seen
    where = destinations(settings)
    faults = asyncio.run(_tell_all(settings))
    printer = Printer(output)
    if printer.json:
        printer.document(
            [{"notifier": name, "to": where[name], "told": not fault, "error": fault} for name, fault in faults.items()]
        )
    else:
        rows = [("failed" if fault else "ok", name, fault or f"told {where[name]}") for name, fault in faults.items()]
        printer.table(("", "NOTIFIER", "RESULT"), rows, empty="Nobody is told.")
        if list(faults) == ["log"]:
            note(
                "to have people told, set TIELINE_NOTIFY_WEBHOOK_URL or TIELINE_NOTIFY_EMAIL_TO: docs/notifications.md"
            )
    return Status.FAILED if any(faults.values()) else Status.DONE


async def _tell_all(settings: "Settings") -> dict[str, str | None]:
    """By notifier, why it failed, if it did."""
    from runtime.notifiers import open_notifiers

    notification = _notification()
    async with open_notifiers(settings) as notifiers:
        faults = await asyncio.gather(*(_fault(notifier, notification) for notifier in notifiers))
    return {notifier.name: fault for notifier, fault in zip(notifiers, faults, strict=True)}


async def _fault(notifier: "Notifier", notification: "Notification") -> str | None:
    from runtime.notifiers import NotifierFailed

    try:
        await notifier.tell(notification)
    except NotifierFailed as error:
        return str(error)
    return None


def _notification() -> "Notification":
    import uuid
    from datetime import UTC, datetime

    from definitions.notification import Notification, NotificationKind

    return Notification(
        id=f"test-{uuid.uuid4().hex}",
        kind=NotificationKind.TEST,
        message="Somebody tried whether notifications arrive: this one did",
        happened_at=datetime.now(UTC),
    )

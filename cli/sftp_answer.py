"""What an SFTP operation returned, as people read it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.output import Printer, note
from cli.progress import size_text

if TYPE_CHECKING:
    from definitions.sftp import Entry, SftpResult, Transferred

SHOWN_FILES = 50


def print_sftp(printer: Printer, result: "SftpResult") -> None:
    """What was found or moved to standard output, what there is to say about it beside."""
    attempts = f", attempt {result.attempt}" if result.attempt > 1 else ""
    note(f"{result.message} (account {result.account}, as {result.username}{attempts})")
    for remark in result.notes:
        note(remark)
    if result.exists is not None:
        printer.line("yes" if result.exists else "no")
    elif result.entries is not None:
        _print_entries(printer, result.entries)
    elif result.files:
        _print_files(printer, result.files)
    else:
        for path in result.paths:
            printer.line(path)
    if result.next_cursor:
        note(f"there are more: --cursor {result.next_cursor}")


def _print_entries(printer: Printer, entries: "Sequence[Entry]") -> None:
    rows = [
        (
            each.path + ("/" if each.kind == "folder" else ""),
            each.kind,
            "" if each.size is None or each.kind == "folder" else size_text(each.size),
            each.modified,
            each.permissions,
        )
        for each in entries
    ]
    printer.table(("PATH", "KIND", "SIZE", "MODIFIED", "MODE"), rows, empty="nothing fits")


def _print_files(printer: Printer, files: "Sequence[Transferred]") -> None:
    for each in files[:SHOWN_FILES]:
        resumed = f", resumed from byte {each.resumed_from}" if each.resumed_from else ""
        told = "the same was there" if each.skipped else f"{size_text(each.bytes)}{resumed}"
        checked = f", SHA-256 {each.sha256}" if each.sha256 else ""
        printer.line(f"{each.path}  {told}{checked}")
    if len(files) > SHOWN_FILES:
        printer.line(f"… and {len(files) - SHOWN_FILES} more: --output json has all")

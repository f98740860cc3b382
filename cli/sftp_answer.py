"""What an SFTP operation returned, as people read it."""

import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.output import Printer, note
from cli.progress import size_text

if TYPE_CHECKING:
    from definitions.sftp import Entry, FailedFile, SftpResult, Transferred

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
    tell_failed(result.failed)
    if result.next_cursor:
        note(f"there are more: --cursor {result.next_cursor}")


def tell_failed(files: "Sequence[FailedFile]") -> None:
    """Which of several files failed."""
    for each in files[:SHOWN_FILES]:
        kept = f"; it was fetched all the same, with SHA-256 {each.sha256}" if each.sha256 else ""
        note(f"{each.path} failed ({each.category}): {each.message}{kept}")
    if len(files) > SHOWN_FILES:
        note(f"… and {len(files) - SHOWN_FILES} more failed: --output json has all")


def tell_beside(files: "Sequence[Transferred]", *, checksum: bool, marker: str | None) -> None:
    """What an upload has published beside its files; nothing beside those that were there already."""
    for each in [each for each in files[:SHOWN_FILES] if not each.skipped and (checksum or marker)]:
        told = [f"its checksum {each.path}.sha256"] if checksum else []
        told += [f"its marker {_marker_of(each.path, marker)}"] if marker else []
        note(f"{each.path}: {' and '.join(told)}")


def _marker_of(path: str, template: str) -> str:
    from definitions.remote_path import render_remote_path
    from definitions.templates import TemplateError

    folder, name = posixpath.split(path)
    try:
        rendered = render_remote_path(template, {"name": name})
    except TemplateError:  # the account's parameters are not known here
        rendered = template
    return rendered if "/" in template else posixpath.join(folder, rendered)


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

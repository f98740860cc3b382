"""What a run returned, as people and programs read it."""

import base64
import sys
from typing import TYPE_CHECKING, Any

from cli.files import is_stdout
from cli.output import Printer, dumps, note, printable
from cli.progress import size_text
from cli.sftp_answer import print_sftp

if TYPE_CHECKING:
    from definitions.asset import Asset
    from definitions.run import CallResult, RunResult

SHOWN_DIGITS = 16


def print_result(printer: Printer, run_id: str, result: "RunResult", saved: str | None = None, **more: Any) -> None:
    """The answer's body to standard output, what there is to say about it beside; `more` is for programs only.

    `saved`: the file that the answer was written to.
    """
    if printer.json:
        written = {} if saved is None else {"file": saved}
        printer.document({"run": run_id, **written, **more, **result.model_dump(mode="json")})
        return
    if result.sftp is not None:
        print_sftp(printer, result.sftp)
        return
    if result.call is None:
        assert result.decision is not None, "a run ends with an answer or with a decision"
        note(f"skipped by {result.decision.who}: {result.decision.why}")
        print(dumps(result.decision.value))
        return
    _print_answer(printer, result.call, saved)


def _print_answer(printer: Printer, answer: "CallResult", saved: str | None) -> None:
    from definitions.plural import plural

    attempts = f", attempt {answer.attempt}" if answer.attempt > 1 else ""
    note(f"{answer.status} through account {answer.account}{attempts}, {plural(answer.bytes, 'byte')}")
    for remark in answer.notes:
        note(remark)
    match answer.encoding:
        case "json":
            print(printable(dumps(answer.body)))
        case "text":
            printer.line(str(answer.body).removesuffix("\n"))
        case "asset":
            assert answer.asset is not None, "it is what the answer became"
            _print_asset(printer, answer.asset, saved)
        case "base64":
            _print_bytes(base64.b64decode(str(answer.body)), answer.headers.get("content-type", "bytes"))


def _print_asset(printer: Printer, asset: "Asset", saved: str | None) -> None:
    """What stands in for the answer, or where that was written."""
    told = f"asset {asset.name}: {size_text(asset.size)}, {asset.media_type}"
    if saved is None:
        printer.line(asset.sha256)
        note(f"{told}; to have it: tieline assets get {asset.sha256[:SHOWN_DIGITS]}")
        return
    if not is_stdout(saved):
        printer.line(saved)
    note(f"{told}, SHA-256 {asset.sha256}")


def _print_bytes(content: bytes, media_type: str) -> None:
    if sys.stdout.isatty():
        note(f"the answer is {media_type}, not text: redirect the output into a file to keep it")
        return
    sys.stdout.buffer.write(content)

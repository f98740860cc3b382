"""What a run returned, as people and programs read it."""

import base64
import sys
from typing import TYPE_CHECKING, Any

from cli.output import Printer, dumps, note, printable
from cli.sftp_answer import print_sftp

if TYPE_CHECKING:
    from definitions.run import CallResult, RunResult


def print_result(printer: Printer, run_id: str, result: "RunResult", **more: Any) -> None:
    """The answer's body to standard output, what there is to say about it beside; `more` is for programs only."""
    if printer.json:
        printer.document({"run": run_id, **more, **result.model_dump(mode="json")})
        return
    if result.sftp is not None:
        print_sftp(printer, result.sftp)
        return
    if result.call is None:
        assert result.decision is not None, "a run ends with an answer or with a decision"
        note(f"skipped by {result.decision.who}: {result.decision.why}")
        print(dumps(result.decision.value))
        return
    _print_answer(printer, result.call)


def _print_answer(printer: Printer, answer: "CallResult") -> None:
    attempts = f", attempt {answer.attempt}" if answer.attempt > 1 else ""
    note(f"{answer.status} through account {answer.account}{attempts}, {answer.bytes} bytes")
    for remark in answer.notes:
        note(remark)
    match answer.encoding:
        case "json":
            print(printable(dumps(answer.body)))
        case "text":
            printer.line(str(answer.body).removesuffix("\n"))
        case "base64":
            _print_bytes(base64.b64decode(str(answer.body)), answer.headers.get("content-type", "bytes"))


def _print_bytes(content: bytes, media_type: str) -> None:
    if sys.stdout.isatty():
        note(f"the answer is {media_type}, not text: redirect the output into a file to keep it")
        return
    sys.stdout.buffer.write(content)

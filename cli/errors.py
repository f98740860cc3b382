"""How an error reaches the person at the terminal: one message, and the status that a script can rely on."""

import errno
import os
import sys
import traceback
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import typer


class Status(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    """The run, the test or the check failed."""
    BAD_USE = 2
    """The command line, a definition or a setting is wrong; nothing was changed."""
    UNREACHABLE = 3
    """A server that is needed does not answer."""
    NOT_ENDED = 4
    """The run was started and goes on, but had not ended when the wait was over."""
    NO_ANSWER = 5
    """A question, whose answer is the status, could not be answered: its run failed, or was skipped."""
    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT, as shells count)."""


class CliError(Exception):
    """A command ends here; the message says what is wrong and what to do. Never holds a secret."""

    def __init__(self, message: str, status: Status = Status.BAD_USE, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.details = details


def cannot_be_read(file: str, error: OSError) -> str:
    """Why not. Names are taken as they are: where a shell sees more than a path, as in `@~/file`, it replaces no ~."""
    in_home = isinstance(error, FileNotFoundError) and file.startswith("~/")
    advice = '; the shell left ~ as it is: write "$HOME" in its place' if in_home else ""
    return f"{file or 'the empty file name'} cannot be read ({error.strerror}){advice}"


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is told about an error. `details` are for programs only."""

    message: str
    status: Status
    details: dict[str, Any] = field(default_factory=dict)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

STATUS_OF = {
    "runtime.settings.SettingsError": Status.BAD_USE,
    "runtime.runs.RunNotFound": Status.BAD_USE,
    "runtime.runs.KeyConflict": Status.BAD_USE,
    "runtime.runs.UnfitAsset": Status.BAD_USE,
    "runtime.runs.NotWaiting": Status.BAD_USE,
    "runtime.runs.HasEnded": Status.BAD_USE,
    "runtime.runs.NoWorker": Status.UNREACHABLE,
    "runtime.run_ids.AmbiguousRun": Status.BAD_USE,
    "runtime.runs.RunError": Status.FAILED,
    "runtime.health.HealthAddressTaken": Status.BAD_USE,
    "gateway.serve.GatewayAddressTaken": Status.BAD_USE,
    "gateway.serve.GatewayOpen": Status.BAD_USE,
    "gateway.loopback.PortTaken": Status.BAD_USE,
    "runtime.telemetry.MetricsAddressUnusable": Status.BAD_USE,
    "runtime.codec.UndecodablePayload": Status.FAILED,
    "runtime.payload_store.PayloadUnavailable": Status.FAILED,
    "runtime.assembly.TemporalUnreachable": Status.UNREACHABLE,
    "runtime.temporal_binary.TemporalServerError": Status.UNREACHABLE,
    "runtime.search_attributes.SearchAttributesMissing": Status.FAILED,
    "storage.errors.BadDatabaseUrl": Status.BAD_USE,
    "storage.errors.DatabaseUnavailable": Status.UNREACHABLE,
    "storage.errors.AssetStoreUnavailable": Status.UNREACHABLE,
    "storage.errors.AssetDamaged": Status.FAILED,
    "storage.errors.StorageError": Status.BAD_USE,
    "auth.keys.KeyringError": Status.BAD_USE,
    "auth.secret.SecretError": Status.BAD_USE,
    "auth.errors.UnknownProfile": Status.BAD_USE,
    "auth.errors.UnknownAdapter": Status.BAD_USE,
    "auth.errors.Unbound": Status.BAD_USE,
    "auth.errors.NoSubject": Status.BAD_USE,
    "auth.errors.Unfit": Status.BAD_USE,
    "auth.errors.CredentialError": Status.FAILED,
    "auth.vault.UnreadableRecord": Status.FAILED,
    "auth.errors.AuthError": Status.BAD_USE,
}
"""By full class name, so that no room is imported just to be ready for its errors; a subclass inherits."""


def explain(error: BaseException) -> Complaint:
    """Turn any error into what the person is told. What nobody foresaw is named as such, and scrubbed."""
    if isinstance(error, CliError):
        return Complaint(str(error), error.status, error.details)
    if isinstance(error, typer.TyperException):
        return Complaint(_usage(error), Status.BAD_USE)
    if isinstance(error, (KeyboardInterrupt, typer.Abort, CancelledError)):
        return Complaint("interrupted", Status.INTERRUPTED)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        where = error.filename or "in the data folder, or where the output goes"
        return Complaint(f"{error.strerror}: {where}", Status.FAILED)
    for name in _names(error):
        if name in SPECIAL:
            return SPECIAL[name](error)
        if name in STATUS_OF:
            return Complaint(_with_action(error), STATUS_OF[name])
    return Complaint(
        scrub(f"something unforeseen went wrong ({type(error).__name__}): {error}\nTIELINE_DEBUG=1 shows where"),
        Status.FAILED,
    )


def debug_trace(error: BaseException) -> str | None:
    """The traceback, scrubbed, when TIELINE_DEBUG asks for it; none of bad usage, whose text repeats the arguments."""
    if os.environ.get("TIELINE_DEBUG", "") in ("", "0") or isinstance(error, typer.TyperException):
        return None
    return scrub("".join(traceback.format_exception(error)))


def scrub(text: str) -> str:
    """Without the secrets that this process has handled; it has handled none while net is not loaded."""
    redaction = sys.modules.get("net.redaction")
    return str(redaction.LIVE_SECRETS.scrub(text)) if redaction else text


def _names(error: BaseException) -> list[str]:
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]


def _usage(error: typer.TyperException) -> str:
    message, context = error.format_message(), getattr(error, "ctx", None)
    if context is None or not message:  # without a message, the help was shown in its place
        return message
    if message.startswith("Got unexpected extra argument") and _takes_secrets(context):
        message = (
            "There is an argument too many; it is not repeated here, for it may be a secret (--secret FIELD=SOURCE)"
        )
    return f"{message}\nSee: {context.command_path} --help"


def _takes_secrets(context: typer.Context) -> bool:
    return any("--secret" in parameter.opts for parameter in context.command.params)


def _with_action(error: BaseException) -> str:
    action = getattr(error, "action", None)
    return scrub(f"{error}\nNext step: {action}" if action else str(error))


def _run_failed(error: Any) -> Complaint:
    failure, decision = error.failure, error.decision
    lines = [
        f"run {error.run_id} failed: {failure.message}",
        f"Who must act: {failure.actor.value}. Next step: {failure.suggested_action}",
    ]
    if decision is not None:
        lines.insert(1, f"Decided by {decision.who}: {decision.why}")
    if failure.excerpt:
        lines.append(f"The answer began: {failure.excerpt[:300]}")
    details = {"run": error.run_id, "failure": failure.model_dump(mode="json")}
    return Complaint(scrub("\n".join(lines)), Status.FAILED, details)


def _definitions(error: Any) -> Complaint:
    problems = [
        {"thing": each.thing, "place": each.place, "source": each.source, "line": each.line, "message": str(each)}
        for each in error.problems
    ]
    return Complaint(str(error), Status.BAD_USE, {"problems": problems})


def _rpc(error: Any) -> Complaint:
    from runtime.temporal_errors import is_away

    status = error.status.name
    if status == "NOT_FOUND" and "Namespace" in error.message:
        message = f"Temporal: {error.message} Create it there, or correct TIELINE_TEMPORAL_NAMESPACE"
        return Complaint(message, Status.BAD_USE)
    if is_away(error):
        message = f"Temporal does not answer ({status.lower()}): is it running? tieline doctor"
        return Complaint(message, Status.UNREACHABLE)
    return Complaint(scrub(f"Temporal refused the request ({status.lower()}): {error}"), Status.FAILED)


def _sftp(error: Any) -> Complaint:
    """Of a server that was asked without a run, whose failure would say what to do."""
    message = str(error)
    if error.code == "egress_denied" and "no rule can" not in message:
        message += "\nNext step: what is meant to be reached, the operator allows with TIELINE_EGRESS_ALLOW=HOST:PORT"
    return Complaint(scrub(message), Status.UNREACHABLE)


SPECIAL: dict[str, Callable[[Any], Complaint]] = {
    "runtime.runs.RunFailed": _run_failed,
    "definitions.problems.DefinitionErrors": _definitions,
    "temporalio.service.RPCError": _rpc,
    "net.sftp_errors.SftpError": _sftp,
}
"""Errors with more to tell than their text."""

"""From what went wrong to what a caller is told: problem documents (RFC 9457), never with a secret in them."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from temporalio.service import RPCError, RPCStatusCode

from auth.api_tokens import ApiTokenError
from auth.errors import AuthError, CredentialError, NoSubject, Unbound, Unfit, UnknownAdapter, UnknownProfile
from auth.secret import SecretError
from definitions.problems import DefinitionErrors, dotted
from definitions.run import Failure
from definitions.wording import message, path_in, suggestion, told_once
from gateway.operations import OPERATIONS
from net.redaction import LIVE_SECRETS
from net.sftp_errors import SftpError
from runtime.codec import UndecodablePayload
from runtime.host_keys import Unconfirmed
from runtime.payload_store import PayloadUnavailable
from runtime.runs import (
    HasEnded,
    KeyConflict,
    NotWaiting,
    NoWorker,
    RunCancelled,
    RunError,
    RunFailed,
    RunNotFound,
    UnfitAsset,
)
from runtime.temporal_errors import is_away
from storage.errors import (
    AlreadyExists,
    AssetDamaged,
    AssetMissing,
    AssetStoreUnavailable,
    AssetTooLarge,
    DatabaseUnavailable,
    NotFound,
    StorageError,
)

MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """Every error of the API looks like this; a failed run adds `run` and `failure`, a faulty request `errors`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    category: str = Field(description="Stable, for programs")
    suggested_action: str | None = Field(default=None, description="What to do, for people")
    request_id: str = Field(description="Stands in Tieline's log")


class Problem(HTTPException):
    """An error as the caller is told it. A subclass of HTTPException, because FastAPI lets these pass everywhere."""

    def __init__(
        self,
        status: int,
        category: str,
        detail: str,
        action: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.category = category
        self.action = action
        self.more = more


def problem_response(problem: Problem, request_id: str) -> JSONResponse:
    """As it is sent."""
    document = ProblemDocument(
        title=HTTPStatus(problem.status_code).phrase,
        status=problem.status_code,
        detail=LIVE_SECRETS.scrub(problem.detail),
        category=problem.category,
        suggested_action=LIVE_SECRETS.scrub(problem.action) if problem.action else None,
        request_id=request_id,
    )
    content = {**document.model_dump(exclude_none=True), **problem.more}
    return JSONResponse(content, problem.status_code, problem.headers, media_type=MEDIA_TYPE)


async def answer_with_problem(request: Request, error: Exception) -> JSONResponse:
    """The handler of every error."""
    folder = request.app.state.door.stores.settings.data_dir
    return problem_response(_without_places(problem_of(error), folder), request.scope["state"]["request_id"])


def without_places(text: str, folder: Path) -> str:
    """Where the data folder is on the server is the operators' business."""
    return text.replace(str(folder), "TIELINE_DATA_DIR")


def failure_told(failure: Failure, folder: Path) -> Failure:
    """As callers see it."""
    return failure.model_copy(update={"message": without_places(failure.message, folder)})


def _without_places(problem: Problem, folder: Path) -> Problem:
    problem.detail = without_places(problem.detail, folder)
    if "failure" in problem.more:
        failure = failure_told(Failure.model_validate(problem.more["failure"]), folder)
        problem.more = {**problem.more, "failure": failure.model_dump(mode="json")}
    return problem


def problem_of(error: Exception) -> Problem:
    """What a caller is told about an error; of one that nobody foresaw, nothing but that it happened."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return Problem(error.status_code, _CATEGORIES.get(error.status_code, "invalid_request"), error.detail)
        case RunFailed():
            return _run_failed(error)
        case DefinitionErrors():
            return Problem(422, "invalid_definition", str(error), "correct the document", errors=_faults(error))
        case CredentialError() if not isinstance(error, _UNBOUND):
            return _credential(error)
        case RPCError():
            return _temporal(error)
    for kinds, status, category, action in _KNOWN:
        if isinstance(error, kinds):
            category = getattr(error, "fault", category)  # why an account cannot be connected
            return Problem(status, category, str(error), getattr(error, "action", None) or action, **_more(error))
    return Problem(
        500,
        "internal",
        "something unforeseen went wrong; the log tells more under this request_id",
        "tell whoever runs this installation the request_id",
    )


_UNBOUND = (UnknownProfile, UnknownAdapter, Unbound, NoSubject, Unfit)

_KNOWN: tuple[tuple[type[Exception] | tuple[type[Exception], ...], int, str, str | None], ...] = (
    (KeyConflict, 409, "key_conflict", "use a new key for a new operation"),
    (UnfitAsset, 422, "invalid_request", None),
    (NotWaiting, 409, "not_waiting", "read the run: somebody may have decided, or it has ended"),
    (HasEnded, 409, "has_ended", None),
    (NoWorker, 503, "no_worker", "start a worker: tieline doctor"),
    (RunNotFound, 404, "not_found", None),
    (RunCancelled, 424, "cancelled", None),
    (RunError, 424, "ended_badly", "read the run's history"),
    (NotFound, 404, "not_found", None),
    (AlreadyExists, 409, "already_exists", None),
    (DatabaseUnavailable, 503, "database_unavailable", "see that the database runs: tieline doctor"),
    (AssetMissing, 404, "not_found", None),
    (AssetTooLarge, 413, "too_large", "send less, or raise TIELINE_ASSET_MAX_BYTES"),
    (AssetDamaged, 500, "asset_damaged", None),
    (AssetStoreUnavailable, 503, "asset_store_unavailable", "see to the folder or bucket of assets"),
    (StorageError, 422, "invalid_request", None),
    (Unfit, 422, "unfit", None),
    (_UNBOUND, 422, "unbound", None),
    (
        Unconfirmed,
        422,
        "host_keys_unconfirmed",
        "ask the server's owner which of the keys are its own, and send the request again with these as host_keys",
    ),
    (SftpError, 502, "server_unreachable", "see that the server can be reached from here"),
    ((AuthError, SecretError, ApiTokenError), 422, "invalid_request", None),
    (UndecodablePayload, 500, "undecodable", "give every process of the installation the same keys"),
    (PayloadUnavailable, 500, "payload_unavailable", "give every process of the installation the same data folder"),
)

HANDLED: tuple[type[Exception], ...] = (
    HTTPException,
    RequestValidationError,
    RunError,
    SftpError,
    DefinitionErrors,
    StorageError,
    AuthError,
    SecretError,
    RPCError,
    UndecodablePayload,
    PayloadUnavailable,
    Exception,
)
"""The roots of all of them, for the application's table of handlers."""

_CATEGORIES = {404: "not_found", 405: "method_not_allowed"}


def _invalid(error: RequestValidationError) -> Problem:
    """Places and reasons, never values: what stands in the wrong place may be a secret."""
    faults = [{"place": _place(fault, error.body), "message": _reason(fault)} for fault in told_once(error.errors())]
    detail = "; ".join(f"{fault['place']}: {fault['message']}" for fault in faults)
    return Problem(422, "invalid_request", detail, "correct the request: /docs describes it", errors=faults)


def _place(fault: ErrorDetails, body: Any) -> str:
    part, *rest = fault["loc"]
    if part != "body":
        return dotted(tuple(fault["loc"]))
    return dotted(("body", *path_in(body, {**fault, "loc": tuple(rest)})))


def _reason(fault: ErrorDetails) -> str:
    near = suggestion(fault, *OPERATIONS) if "operation" in fault["loc"] else None
    return f"{message(fault)}; did you mean {near}?" if near else message(fault)


def _run_failed(error: RunFailed) -> Problem:
    """424: the request was fine, what it depended on failed. No client or proxy repeats that by itself."""
    failure = error.failure
    more = {"decision": error.decision.model_dump(mode="json")} if error.decision else {}
    return Problem(
        424,
        failure.category,
        failure.message,
        failure.suggested_action,
        run=error.run_id,
        failure=failure.model_dump(mode="json"),
        **more,
    )


def _faults(error: DefinitionErrors) -> list[dict[str, Any]]:
    return [{"place": each.place, "line": each.line, "message": str(each)} for each in error.problems]


def _more(error: Exception) -> dict[str, Any]:
    """What a program needs beside the text."""
    if not isinstance(error, Unconfirmed):
        return {}
    keys = error.offered
    told = [{"fingerprint": key.fingerprint, "algorithm": key.algorithm, "key": key.public} for key in keys]
    return {"offered": told}


def _credential(error: CredentialError) -> Problem:
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if error.retry_after else None
    return Problem(503 if error.retryable else 424, error.code, str(error), error.action, headers)


def _temporal(error: RPCError) -> Problem:
    if is_away(error):
        return Problem(503, "temporal_unavailable", "Temporal does not answer", "see that it runs: tieline doctor")
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
        headers = {"Retry-After": "1"}
        return Problem(503, "temporal_busy", "Temporal has too much to do", "send it again in a moment", headers)
    return Problem(502, "temporal_refused", f"Temporal refused the request ({error.status.name.lower()})")

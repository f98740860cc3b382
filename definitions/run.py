"""What goes into a run, what comes out, and what an operator may decide about one that waits."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from definitions.asset import Asset
from definitions.base import Model
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.sftp import HostKeyChange, SftpOperation, SftpResult, target_of, verb_of
from definitions.urls import is_absolute

IDEMPOTENCY_KEY_LENGTH = 32


class BaseCall(Model):
    """The input of a run of one operation. Holds no secret: the credential is resolved when the step runs."""

    credential: CredentialRef
    delivery: Delivery
    idempotency_key: str
    after_reset: bool = Field(
        default=False, description="The run was reset, so that the call may have been made before; set by the run"
    )

    def _told(self, verb: str, path: str) -> str:
        target = path if is_absolute(path) else f"{self.credential.adapter}/{path.lstrip('/')}"
        subject = f" · {self.credential.subject}" if self.credential.subject else ""
        text = f"{verb} {target} · {self.credential.profile}{subject}"[:200]
        return "".join(each if each.isprintable() else "?" for each in text)


class Call(BaseCall):
    """One HTTP request."""

    operation: HttpOperation

    @property
    def summary(self) -> str:
        """What an operator reads beside the step: `POST crm/leads · production`. No query, no host of an account."""
        return self._told(self.operation.method, self.operation.path.partition("?")[0])


class SftpCall(BaseCall):
    """One SFTP operation; it may be repeated, because an attempt looks what the one before it has done."""

    operation: SftpOperation
    delivery: Delivery = Delivery.SAFE
    progress: dict[str, JsonValue] | None = Field(
        default=None, description="What was done before the run waited for somebody; set by the run"
    )

    @property
    def summary(self) -> str:
        """The same: `UPLOAD bank/outbox/{name} · production`, with the path as a template."""
        return self._told(verb_of(self.operation), target_of(self.operation))


AnyOperation = HttpOperation | SftpOperation


def _kind(value: Any) -> str:
    """HTTP is what an operation is that does not say."""
    if isinstance(value, BaseCall):
        return "sftp" if isinstance(value, SftpCall) else "http"
    operation = value.get("operation") if isinstance(value, dict) else None
    kind = operation.get("type", "http") if isinstance(operation, dict) else getattr(operation, "type", "http")
    return "sftp" if str(kind).startswith("sftp") else "http"


AnyCall = Annotated[Annotated[Call, Tag("http")] | Annotated[SftpCall, Tag("sftp")], Discriminator(_kind)]
"""What a run is started with."""


def idempotency_key(run_id: str, step: str = "call") -> str:
    """One key per run and step, the same on every attempt, worker and replay: it follows from both ids."""
    return hashlib.sha256(f"{run_id}/{step}".encode()).hexdigest()[:IDEMPOTENCY_KEY_LENGTH]


class CallResult(Model):
    """What the provider answered, bounded and clean."""

    status: int
    headers: dict[str, str] = {}
    body: JsonValue = None
    encoding: Literal["json", "text", "base64", "none", "asset"] = "none"
    bytes: int = Field(default=0, description="Decoded size of the body")
    asset: Asset | None = Field(default=None, description="The body, byte for byte, where it became an asset")
    account: str
    token_version: int = 0
    attempt: int = 1
    notes: tuple[str, ...] = ()


class Verdict(StrEnum):
    """What one attempt means for the run."""

    AGAIN = "again"
    """Surely not performed, or safe to repeat: send again after a wait."""
    UNKNOWN = "unknown"
    """May have been performed and must not be repeated blindly: a person decides."""
    FINAL = "final"
    """Sending the same again cannot help."""
    RECONNECT = "reconnect"
    """Nothing was sent, because the account, or its OAuth client, is refused: a person mends it, and the same call is
    made."""


class Actor(StrEnum):
    """Who must act so that the same call can succeed."""

    USER = "user"
    OPERATOR = "operator"
    PROVIDER = "provider"
    TIELINE = "tieline"


class Failure(Model):
    """Why an attempt failed, safe to store and show: no secret, no request data."""

    verdict: Verdict
    category: str
    message: str
    actor: Actor
    suggested_action: str
    retry_after: float | None = Field(default=None, description="Seconds, when somebody said how long to wait")
    status: int | None = None
    account: str | None = None
    excerpt: str | None = Field(default=None, description="The start of the provider's answer, scrubbed")
    ticket: str | None = Field(default=None, description="Under which the run is woken when the account is well again")
    host_key: HostKeyChange | None = Field(default=None, description="The key that somebody must decide about")


class Decision(Model):
    """An operator's answer to a run that waits; stands in the run's history."""

    action: Literal["retry", "skip", "fail", "trust"] = Field(
        description="trust: take the host key that the run waits with for the server's own, and go on"
    )
    who: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=2000)
    value: JsonValue = Field(default=None, description="With `skip`: what the run returns instead of an answer")


class Wake(Model):
    """What a run is woken with that waits for an account."""

    ticket: str
    because: str = Field(description="For whoever reads the history")


class Waiting(Model):
    """What a run that waits for an account shows in lists."""

    account: str | None
    message: str = Field(description="Why, for people")
    since: datetime
    next_step: str
    host_key: HostKeyChange | None = Field(default=None, description="The key that somebody must decide about")


class RunResult(Model):
    """How a run ended well: with the provider's answer, or with the value of a decision to skip."""

    call: CallResult | None = None
    sftp: SftpResult | None = None
    decision: Decision | None = None

    @property
    def value(self) -> JsonValue:
        """The answer's body or the asset that it became, what a transfer tells, or what the operator put in their
        place."""
        told = self.sftp or (self.call.asset if self.call else None)
        if told is not None:
            shown: JsonValue = told.model_dump(mode="json")
            return shown
        return self.call.body if self.call else self.decision.value if self.decision else None


class RunState(StrEnum):
    """The states that a run writes to its search attributes when it leaves the happy path."""

    RUNNING = "running"
    WAITING_TO_RETRY = "waiting_to_retry"
    WAITING_FOR_DECISION = "waiting_for_decision"
    WAITING_FOR_RECONNECT = "waiting_for_reconnect"

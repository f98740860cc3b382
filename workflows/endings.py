"""What the end of an attempt says about its call: to the run that goes on from there, and to whoever reads it later."""

from typing import Any

from temporalio.exceptions import ApplicationError, TimeoutError, TimeoutType

from definitions.operation import Delivery
from definitions.run import Actor, AnyCall, Failure, Verdict

_LOOK = "look in the external system whether the call had its effect, then decide"
_LOST = "the worker was lost"


def failure_of(cause: BaseException | None, call: AnyCall) -> Failure:
    """What the activity told when it ended for good; of one that told nothing, what can be known."""
    cause = _innermost(cause)
    if isinstance(cause, ApplicationError):
        return told_by(cause) or _without_details(cause, call)
    if isinstance(cause, TimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START:
        return too_late(call)
    repeatable = call.delivery is not Delivery.UNSAFE
    return Failure(
        verdict=Verdict.FINAL if repeatable else Verdict.UNKNOWN,
        category="gave_up" if repeatable else "outcome_unknown",
        message=f"{call.summary}: "
        + ("no attempt succeeded in time" if repeatable else f"{_LOST}; the call may have been performed"),
        actor=Actor.OPERATOR,
        suggested_action="start the run again when the provider answers" if repeatable else _LOOK,
    )


def too_late(call: AnyCall) -> Failure:
    """No worker took the call up while it was wanted, so nothing was sent."""
    return Failure(
        verdict=Verdict.FINAL,
        category="gave_up",
        message=f"{call.summary}: not sent, because no worker took it up within {call.operation.give_up_after}",
        actor=Actor.OPERATOR,
        suggested_action="start a worker, then start the run again",
    )


def told_by(cause: BaseException | None) -> Failure | None:
    """What the activity itself told, None where it could not."""
    cause = _innermost(cause)
    if isinstance(cause, ApplicationError) and cause.details:
        return Failure.model_validate(cause.details[0])
    return None


def progress_of(cause: BaseException | None) -> Any:
    """What the last attempt had done, for the next activity; None where nothing was told."""
    told = cause.last_heartbeat_details if isinstance(cause, TimeoutError) else ()
    inner = _innermost(cause)
    if isinstance(inner, ApplicationError):
        told = inner.details[1:] or told
    return told[0] if told else None


def attempt_text(cause: BaseException | None) -> str:
    """How one of several attempts ended, in a few words."""
    cause = _innermost(cause)
    told = told_by(cause)
    if told is not None:
        return told.message
    return f"it ended with {cause.type}" if isinstance(cause, ApplicationError) else f"{_LOST}, or was too slow"


def _without_details(cause: ApplicationError, call: AnyCall) -> Failure:
    too_large = cause.type == "PayloadsTooLarge"
    return Failure(
        verdict=Verdict.FINAL if too_large else Verdict.UNKNOWN,
        category="result_unusable" if too_large else "outcome_unknown",
        message=f"{call.summary}: the attempt ended with {cause.type}",
        actor=Actor.OPERATOR,
        suggested_action=_LOOK,
    )


def _innermost(cause: BaseException | None) -> BaseException | None:
    """A timeout around repeated attempts carries what the last of them told."""
    while isinstance(cause, TimeoutError) and isinstance(cause.cause, ApplicationError):
        cause = cause.cause
    return cause

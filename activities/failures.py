"""From what went wrong to what Temporal and an operator are told.

Failures cross into history here, so this is where text is scrubbed of every live secret. Raise what these functions
return `from None`: Temporal stores causes too.
"""

from datetime import timedelta

from pydantic import JsonValue
from temporalio.exceptions import ApplicationError

from activities.judge import Judgement
from activities.scrubbing import scrub_text
from activities.streams import SourceFailed
from auth.credential import Credential
from auth.errors import ClientRefused, CredentialError, NeedsReconnect
from definitions.operation import Delivery
from definitions.run import Actor, AnyCall, Call, Failure, Verdict
from net.errors import NetError, Sent
from net.messages import HttpReply
from net.redaction import LIVE_SECRETS
from net.text import decode_text
from storage.errors import AssetDamaged, AssetMissing, StorageError

EXCERPT_CHARACTERS = 2048

FAILURE_TYPES = {
    Verdict.AGAIN: "NotPerformed",
    Verdict.UNKNOWN: "OutcomeUnknown",
    Verdict.FINAL: "CallFailed",
    Verdict.RECONNECT: "NeedsReconnect",
}
"""Temporal keeps the type of a failure in clear: these words and no others."""

_REDIRECTED = "look where the provider leads: correct base_url, or name the host in the integration's hosts"

_ADVICE: dict[str, tuple[Actor, str]] = {
    "rate_limited": (Actor.PROVIDER, "nothing: it is sent again when the provider allows it"),
    "provider_busy": (Actor.PROVIDER, "nothing: it is sent again after a wait"),
    "still_in_progress": (Actor.PROVIDER, "nothing: the provider still works on the first request with this key"),
    "provider_error": (Actor.PROVIDER, "look at the provider's status page"),
    "not_sent": (Actor.OPERATOR, "check that the host and port of the integration's base_url can be reached from here"),
    "outcome_unknown": (Actor.OPERATOR, "look in the external system whether the call had its effect, then decide"),
    "worker_stopped": (Actor.TIELINE, "nothing: another worker sends it again"),
    "internal_error": (Actor.TIELINE, "report it with the lines of the worker's log; it is tried again meanwhile"),
    "egress_denied": (Actor.OPERATOR, "allow the address with TIELINE_EGRESS_ALLOW=HOST:PORT if it is meant"),
    "invalid_request": (Actor.USER, "correct the operation"),
    "result_unusable": (
        Actor.USER,
        "the call was completed; raise max_bytes (of an asset: max_asset_bytes), or correct what is expected back",
    ),
    "asset_missing": (Actor.USER, "put the file again, and start another run with what that returns"),
    "asset_damaged": (Actor.OPERATOR, "put the file again: an asset whose content is gone or altered is replaced"),
    "asset_store_unavailable": (
        Actor.OPERATOR,
        "bring the asset store back: tieline doctor",
    ),
    "result_not_kept": (
        Actor.OPERATOR,
        "the call was completed, and its answer is lost: see that the folder or bucket of assets can be used",
    ),
    "content_failed": (Actor.PROVIDER, "nothing: it is read and sent again after a wait"),
    "redirect_refused": (Actor.OPERATOR, _REDIRECTED),
    "too_many_redirects": (Actor.OPERATOR, _REDIRECTED),
    "refused": (Actor.USER, "correct the operation: the provider's answer says what it did not accept"),
    "credential_refused": (Actor.OPERATOR, "renew the account's secrets: tieline accounts set-secrets ACCOUNT"),
}
_FALLBACK = (Actor.PROVIDER, "nothing: it is sent again after a wait")
_UNKNOWN = {
    False: "; whether it was performed is unknown",
    True: " when it was asked for the outcome; the request itself was performed",
}


def refused_by_status(call: Call, reply: HttpReply, judgement: Judgement, wait: float | None, account: str) -> Failure:
    """The failure that an answer's status stands for."""
    actor, action = _advice(judgement)
    unknown = _UNKNOWN[reply.done] if judgement.verdict is Verdict.UNKNOWN else ""
    return Failure(
        verdict=_verdict(judgement),
        category=judgement.category,
        message=f"{call.summary}: answered {reply.status}{unknown}",
        actor=actor,
        suggested_action=action,
        retry_after=wait,
        status=reply.status,
        account=account,
        excerpt=_excerpt(reply),
    )


def without_answer(call: Call, error: NetError, judgement: Judgement, account: str) -> Failure:
    """The failure of a call that brought no usable answer."""
    actor, action = _advice(judgement, error.code)
    unknown = "; it may have been performed" if judgement.verdict is Verdict.UNKNOWN else ""
    return Failure(
        verdict=_verdict(judgement),
        category=judgement.category,
        message=LIVE_SECRETS.scrub(f"{call.summary}: {error}{unknown}"),
        actor=actor,
        suggested_action=action,
        account=account,
    )


def without_content(call: Call, error: NetError, account: str) -> Failure:
    """The failure of a call whose body could not be read: what that means by itself, unless some of it was sent."""
    failure = _of_source(call, error, account)
    if error.sent is Sent.NO or call.delivery is not Delivery.UNSAFE:
        return failure
    actor, action = _ADVICE["outcome_unknown"]
    message = f"{failure.message}; some of it was sent, so the call may have been performed"
    told = {"verdict": Verdict.UNKNOWN, "category": "outcome_unknown", "message": message}
    return failure.model_copy(update={**told, "actor": actor, "suggested_action": action})


def _of_source(call: Call, error: NetError, account: str) -> Failure:
    match error.reason:
        case SourceFailed(failure=failure):
            message = LIVE_SECRETS.scrub(f"{call.summary}: {failure.message}")
            return failure.model_copy(update={"message": message, "account": failure.account or account})
        case StorageError() as reason:
            return of_assets(call, reason, account)
        case None:
            failure = failed(call, "content_failed", str(error), account)
            return failure.model_copy(update={"verdict": Verdict.AGAIN})
        case reason:
            return unforeseen(call, reason)


def of_assets(call: Call, error: StorageError, account: str) -> Failure:
    """The failure of a call whose asset cannot be read; another attempt may find the store at work again."""
    category = _ASSET_FAULTS.get(type(error), "asset_store_unavailable")
    failure = failed(call, category, str(error), account)
    return failure if type(error) in _ASSET_FAULTS else failure.model_copy(update={"verdict": Verdict.AGAIN})


_ASSET_FAULTS: dict[type[StorageError], str] = {AssetMissing: "asset_missing", AssetDamaged: "asset_damaged"}


def not_kept(call: Call, error: StorageError, account: str, status: int) -> Failure:
    """The failure of a call whose answer could not be kept: sent again where that is safe."""
    if call.delivery is Delivery.UNSAFE:
        message = f"answered {status}, so the call was completed, but its answer could not be kept: {error}"
        return failed(call, "result_not_kept", message, account, status)
    return of_assets(call, error, account)


def without_credential(call: AnyCall, error: CredentialError) -> Failure:
    """The failure of a call whose credential could not be had; nothing was sent."""
    return Failure(
        verdict=_what_helps(error),
        category=error.code,
        message=LIVE_SECRETS.scrub(f"{call.summary}: {error}"),
        actor=Actor.PROVIDER if error.retryable else Actor.OPERATOR,
        suggested_action=error.action,
        retry_after=error.retry_after,
        account=error.account,
    )


def _what_helps(error: CredentialError) -> Verdict:
    if isinstance(error, NeedsReconnect | ClientRefused):
        return Verdict.RECONNECT
    return Verdict.AGAIN if error.retryable else Verdict.FINAL


def failed(
    call: AnyCall, category: str, message: str, account: str | None = None, status: int | None = None
) -> Failure:
    """A final failure with a message of our own."""
    actor, action = _ADVICE.get(category, _FALLBACK)
    if account is not None:
        action = action.replace("ACCOUNT", account)
    return Failure(
        verdict=Verdict.FINAL,
        category=category,
        message=LIVE_SECRETS.scrub(f"{call.summary}: {message}"),
        actor=actor,
        suggested_action=action,
        account=account,
        status=status,
    )


def credential_refused(call: Call, credential: Credential, status: int) -> Failure:
    """The failure of a call whose credential the provider does not take, though it was renewed where that can be."""
    account = credential.account
    message = f"answered {status}: the provider refuses account {account!r}"
    found = failed(call, "credential_refused", message, account, status)
    if not credential.integration.by_consent:
        return found
    return found.model_copy(update={"suggested_action": f"connect it again: tieline accounts connect {account}"})


def interrupted(call: AnyCall, sent: Sent, account: str | None = None) -> Failure:
    """The failure of a call that was under way when it was stopped from outside: may it have had its effect?"""
    again = "worker_stopped" if sent is Sent.NO or call.delivery is not Delivery.UNSAFE else None
    return _cut_short(call, again, "the worker stopped, or the activity was paused, during the call", account)


def not_sent_again(call: AnyCall) -> Failure:
    """The failure of an attempt that must not be made: an earlier one may have been sent."""
    return _cut_short(call, None, "the run was reset, or its activity paused; an earlier attempt may have been sent")


def unforeseen(call: AnyCall, error: Exception) -> Failure:
    """The failure that an error of ours stands for: its text may hold anything, so only its class is told."""
    again = "internal_error" if call.delivery is not Delivery.UNSAFE else None
    return _cut_short(call, again, f"an error of Tieline's own ({type(error).__name__}); the worker's log says where")


def _cut_short(call: AnyCall, again: str | None, message: str, account: str | None = None) -> Failure:
    """Sent again under the category `again`; None: its outcome is unknown, and a person decides."""
    category = again or "outcome_unknown"
    actor, action = _ADVICE[category]
    return Failure(
        verdict=Verdict.AGAIN if again else Verdict.UNKNOWN,
        category=category,
        message=f"{call.summary}: {message}",
        actor=actor,
        suggested_action=action,
        account=account,
    )


def application_error(failure: Failure, progress: JsonValue = None, delay: timedelta | None = None) -> ApplicationError:
    """The one translation to Temporal; `next_retry_delay` carries a Retry-After past the policy's own intervals, or
    `delay`, where the attempt knows better than their number.

    `progress`: for whoever goes on when the run has waited. Between attempts of one activity heartbeats carry it.
    """
    if failure.retry_after is not None:
        delay = timedelta(seconds=max(failure.retry_after, 0.001))
    return ApplicationError(
        failure.message,
        failure.model_dump(mode="json"),
        *([] if progress is None else [progress]),
        type=FAILURE_TYPES[failure.verdict],
        non_retryable=failure.verdict is not Verdict.AGAIN,
        next_retry_delay=delay,
    )


def _advice(judgement: Judgement, code: str | None = None) -> tuple[Actor, str]:
    """By the error's own code where that says more than the category."""
    if judgement.verdict is Verdict.UNKNOWN:
        return _ADVICE["outcome_unknown"]
    return _ADVICE.get(code or judgement.category) or _ADVICE.get(judgement.category, _FALLBACK)


def _verdict(judgement: Judgement) -> Verdict:
    assert judgement.verdict is not None, "a call that is done is no failure"
    return judgement.verdict


def _excerpt(reply: HttpReply) -> str | None:
    # All of it is scrubbed before it is cut: a secret cut in two is not recognised.
    text = decode_text(reply.body, reply.header("content-type"))
    return scrub_text(text)[:EXCERPT_CHARACTERS] if text else None

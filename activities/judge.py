"""May this call be sent again? The one table that decides, apart from the code that carries it out.

After a status the question is what the server says of the request; without one, whether the request was sent. The
columns are the three deliveries; see RFC 9110 §9.2.2 for the methods and §15 for the statuses.
"""

from dataclasses import dataclass

from definitions.operation import Delivery, HttpOperation, status_matches
from definitions.run import Verdict
from net.errors import NetError, Sent

SURELY_REFUSED = frozenset({408, 425, 429})
"""Statuses that say that the request was not processed, whatever the method."""

NEVER_HELPS = frozenset({501, 505})
GONE = frozenset({404, 410})
ABOUT_THE_ANSWER = frozenset({"response_too_large", "undecodable_body", "redirect_refused", "too_many_redirects"})
"""The provider answered; what came back cannot be used, and asking again brings the same."""

NOT_TO_BE_SENT = frozenset({"egress_denied", "invalid_request"})


@dataclass(frozen=True, slots=True)
class Judgement:
    """`verdict` is None when the call is done."""

    verdict: Verdict | None
    category: str


def judge_status(
    status: int,
    *,
    operation: HttpOperation,
    delivery: Delivery,
    attempt: int,
    told_to_wait: bool,
    performed: bool = False,
) -> Judgement:
    """Judge an answer by its status.

    `told_to_wait`: it names a time to come back. `performed`: the provider said that it did the request and where the
    outcome stands (303), so that this is the answer to the question for the outcome only.
    """
    if status_matches(status, operation.success):
        return Judgement(None, "done")
    if performed and delivery is Delivery.UNSAFE:
        return Judgement(Verdict.UNKNOWN, "outcome_unknown")
    if operation.method == "DELETE" and attempt > 1 and status in GONE:
        return Judgement(None, "already_gone")
    if status in SURELY_REFUSED or (status == 503 and told_to_wait):
        return Judgement(Verdict.AGAIN, "rate_limited" if status == 429 else "provider_busy")
    if status == 409 and delivery is Delivery.KEYED:
        return Judgement(Verdict.AGAIN, "still_in_progress")
    if status >= 500 and status not in NEVER_HELPS:
        repeatable = delivery is not Delivery.UNSAFE
        return Judgement(Verdict.AGAIN if repeatable else Verdict.UNKNOWN, "provider_error")
    return Judgement(Verdict.FINAL, "refused")


def judge_net_error(error: NetError, delivery: Delivery) -> Judgement:
    """Judge a call that brought no usable answer."""
    if error.code in NOT_TO_BE_SENT and error.sent is not Sent.ANSWERED:
        return Judgement(Verdict.FINAL, error.code)
    if error.code in ABOUT_THE_ANSWER | NOT_TO_BE_SENT:
        return Judgement(Verdict.FINAL, "result_unusable")
    if error.sent is Sent.NO:
        return Judgement(Verdict.AGAIN, "not_sent")
    if delivery is Delivery.UNSAFE:
        return Judgement(Verdict.UNKNOWN, "outcome_unknown")
    return Judgement(Verdict.AGAIN, error.code)

"""How activities are scheduled: timeouts and retry policies, by what a call's delivery allows."""

from datetime import timedelta

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

from definitions.failure_policy import FIRST_WAIT, LONGEST_WAIT, WAIT_FACTOR, wait_after
from definitions.operation import Delivery
from definitions.run import AnyCall, Call

CREDENTIAL = timedelta(seconds=90)
"""What having a credential may take at worst: waiting for somebody else's token request, then one's own with all that
may go wrong in it (`auth.refresh_plan.Timing`). A dead worker is noticed much sooner, by its heartbeats."""

PERSISTENCE = timedelta(seconds=15)
"""What reading what is stored, and reporting back, may take beside the call itself."""

HEARTBEAT_TIMEOUT = timedelta(seconds=20)

REPEATED = RetryPolicy(
    initial_interval=FIRST_WAIT,
    backoff_coefficient=WAIT_FACTOR,
    maximum_interval=LONGEST_WAIT,
    non_retryable_error_types=["PayloadsTooLarge"],
)
ONCE = RetryPolicy(maximum_attempts=1)
"""For what must not be sent blindly again: after a lost worker Temporal reports a timeout and a person decides."""


def storing_options(summary: str) -> ActivityConfig:
    """The options of one activity that writes into our own database, which may be away for a while."""
    return ActivityConfig(
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=RetryPolicy(initial_interval=FIRST_WAIT, maximum_interval=timedelta(minutes=1)),
        summary=summary,
    )


def clean_up_options(call: AnyCall) -> ActivityConfig:
    """The options of the activity after which a run ends in any case: a server that is away must not hold that up."""
    return ActivityConfig(
        start_to_close_timeout=timedelta(seconds=30),
        schedule_to_close_timeout=timedelta(minutes=1),
        retry_policy=RetryPolicy(initial_interval=FIRST_WAIT, maximum_attempts=3),
        summary="take away what is unfinished",
        priority=Priority(fairness_key=call.credential.fairness_key[:64]),
    )


def call_options(call: AnyCall, give_up_after: timedelta) -> ActivityConfig:
    """The options of one activity that makes this call."""
    # Two sends fit in: after a refused credential the call is made once more with a renewed one.
    attempt = 2 * (CREDENTIAL + _send(call)) if isinstance(call, Call) else CREDENTIAL + call.operation.timeout
    return ActivityConfig(
        start_to_close_timeout=attempt + PERSISTENCE,
        schedule_to_start_timeout=give_up_after if call.delivery is Delivery.UNSAFE else None,
        schedule_to_close_timeout=None if call.delivery is Delivery.UNSAFE else give_up_after,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=ONCE if call.delivery is Delivery.UNSAFE else REPEATED,
        # A transfer that is cancelled takes away what it has left on the server, before its run has ended.
        cancellation_type=ActivityCancellationType.TRY_CANCEL
        if isinstance(call, Call)
        else ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=call.summary,
        priority=Priority(fairness_key=call.credential.fairness_key[:64]),
    )


def _send(call: Call) -> timedelta:
    """What one send may take: with a body that is streamed, the way to its first byte and the answer beside it."""
    operation = call.operation
    return 2 * operation.timeout + operation.transfer_timeout if operation.streams else operation.timeout


def wait_before(attempt: int, told: float | None) -> timedelta:
    """How long to wait after this many attempts: what the provider said, else exponential."""
    if told is not None:
        return timedelta(seconds=told)
    return wait_after(attempt)

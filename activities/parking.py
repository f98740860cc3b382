"""Registers a run to be woken when its account is well again, and looks again where it already is."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from temporalio import activity

from activities.failures import interrupted, without_credential
from auth.errors import CredentialError
from definitions.operation import Delivery
from definitions.refs import CredentialRef
from definitions.run import AnyCall, Failure, Verdict
from net.errors import Sent
from storage.waiters import Waiter

T = TypeVar("T")

LOOKS = 3
"""At an account that is found dead and, when the run is registered, well again."""


class Parking(Protocol):
    """Where a run is registered that waits for its account: `auth.resolver.CredentialResolver`."""

    async def park(self, waiter: Waiter) -> bool:
        """False: the account works again. Raises CredentialError."""


class CallFailed(Exception):
    """Carries a failure from where it was found to where it is translated.

    `ref` leads to the account that is dead where that is another one than the call's own.
    """

    def __init__(self, failure: Failure, ref: CredentialRef | None = None) -> None:
        super().__init__(failure.category)
        self.failure = failure
        self.ref = ref


async def make_or_park(parking: Parking, call: AnyCall, make: Callable[[], Awaitable[T]]) -> T:
    """A run whose account is dead is registered to be woken; where it is well again meanwhile, the call is made.

    Raises:
        CallFailed: no result; with verdict RECONNECT it holds the ticket under which the run is woken.
    """
    for _ in range(LOOKS):
        try:
            return await make()
        except CallFailed as error:
            if error.failure.verdict is not Verdict.RECONNECT:
                raise
            failure, ref = error.failure, error.ref
        if ticket := await _park(parking, call, ref or call.credential):
            raise CallFailed(failure.model_copy(update={"ticket": ticket}))
    raise CallFailed(failure.model_copy(update={"verdict": Verdict.AGAIN}))


async def _park(parking: Parking, call: AnyCall, ref: CredentialRef) -> str | None:
    info = activity.info()
    # The same for all attempts of one activity: one that was lost after it registered is not woken for two.
    ticket = hashlib.sha256(f"{info.workflow_run_id}/{info.activity_id}".encode()).hexdigest()[:32]
    assert info.workflow_id is not None, "a workflow makes the calls"
    waiter = Waiter(ticket, info.workflow_id, ref, call.operation.park_for.total_seconds())
    try:
        return ticket if await parking.park(waiter) else None
    except CredentialError as error:
        raise CallFailed(without_credential(call, error)) from None
    except asyncio.CancelledError:
        if not run_goes_on(call):
            raise
        raise CallFailed(interrupted(call, Sent.NO)) from None


def run_goes_on(call: AnyCall) -> bool:
    """Whether a cancelled attempt must tell how far it got: its worker stops, or an unsafe call is paused.

    Of a paused activity Temporal makes another attempt whatever its retry policy says.
    """
    if not activity.in_activity():
        return False
    details = activity.cancellation_details()
    paused = details is not None and details.paused and call.delivery is Delivery.UNSAFE
    return activity.is_worker_shutdown() or paused


def tell(call: AnyCall, failure: Failure) -> None:
    """Failed attempts leave no events in a history while Temporal repeats them, so they are counted and logged here."""
    about = {"adapter": call.credential.adapter, "profile": call.credential.profile, "category": failure.category}
    activity.metric_meter().create_counter(
        "tieline_call_failures", "Attempts that brought no result, by adapter, profile and category"
    ).add(1, about)
    extra = {**about, "account": failure.account, "status": failure.status}
    activity.logger.warning("call failed: %s", failure.category, extra=extra)

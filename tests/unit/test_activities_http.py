"""What an activity tells of an error that nobody foresaw, and of an end that came from outside."""

import asyncio
import dataclasses
import traceback

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.http import HttpActivities
from auth.credential import Credential
from auth.errors import NeedsReconnect
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call, Failure
from net.client import GuardedClient
from net.egress import EgressPolicy
from storage.waiters import Waiter

CANARY = "planted-93b1f0"


class BrokenCredentials:
    """A defect of our own, whose text holds what it should not."""

    async def resolve(self, ref: CredentialRef) -> Credential:
        raise KeyError(CANARY)

    async def renew(self, credential: Credential) -> Credential:
        raise KeyError(CANARY)


class Nowhere:
    """No run is parked here."""

    async def park(self, waiter: Waiter) -> bool:
        raise AssertionError("no account is dead")


NOWHERE = Nowhere()


class SlowCredentials:
    """A token request that takes for ever."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def resolve(self, ref: CredentialRef) -> Credential:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def renew(self, credential: Credential) -> Credential:
        raise AssertionError("nothing was refused")


class DeadCredentials:
    """Of an account that is dead, whose run is being registered for ever."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def resolve(self, ref: CredentialRef) -> Credential:
        raise NeedsReconnect("account 'main' is dead", action="connect it again", account="main")

    async def renew(self, credential: Credential) -> Credential:
        raise AssertionError("nothing was refused")

    async def park(self, waiter: Waiter) -> bool:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


def call(delivery: Delivery) -> Call:
    return Call(
        operation=HttpOperation(method="POST", path="/leads"),
        credential=CredentialRef(adapter="crm", profile="dev"),
        delivery=delivery,
        idempotency_key="k",
    )


@pytest.mark.parametrize(
    ("delivery", "type_", "final"),
    [
        (Delivery.SAFE, "NotPerformed", False),
        (Delivery.KEYED, "NotPerformed", False),
        (Delivery.UNSAFE, "OutcomeUnknown", True),
    ],
)
async def test_an_error_nobody_foresaw_is_told_by_its_class_alone(delivery: Delivery, type_: str, final: bool) -> None:
    http = GuardedClient(EgressPolicy())

    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(HttpActivities(BrokenCredentials(), NOWHERE, http).call, call(delivery))
    await http.aclose()

    told = Failure.model_validate(caught.value.details[0])
    assert "KeyError" in told.message
    assert (caught.value.type, caught.value.non_retryable) == (type_, final)
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + told.model_dump_json()


async def stopped_while_it_asks_for_a_credential(delivery: Delivery, details: ActivityCancellationDetails) -> None:
    credentials, http, environment = SlowCredentials(), GuardedClient(EgressPolicy()), ActivityEnvironment()
    task = asyncio.create_task(environment.run(HttpActivities(credentials, NOWHERE, http).call, call(delivery)))
    await credentials.asked.wait()
    if details.worker_shutdown:
        environment.worker_shutdown()
    environment.cancel(details)
    try:
        await task
    finally:
        await http.aclose()


@pytest.mark.parametrize("delivery", list(Delivery))
async def test_a_worker_that_stops_before_anything_was_sent_leaves_the_call_to_another(delivery: Delivery) -> None:
    with pytest.raises(ApplicationError) as caught:
        await stopped_while_it_asks_for_a_credential(delivery, ActivityCancellationDetails(worker_shutdown=True))

    assert Failure.model_validate(caught.value.details[0]).category == "worker_stopped"
    assert (caught.value.type, caught.value.non_retryable) == ("NotPerformed", False)


@pytest.mark.parametrize("delivery", list(Delivery))
async def test_a_worker_that_stops_while_it_registers_a_run_leaves_the_call_to_another(delivery: Delivery) -> None:
    dead, http, environment = DeadCredentials(), GuardedClient(EgressPolicy()), ActivityEnvironment()
    task = asyncio.create_task(environment.run(HttpActivities(dead, dead, http).call, call(delivery)))
    await dead.asked.wait()
    environment.worker_shutdown()
    environment.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(ApplicationError) as caught:
        await task
    await http.aclose()

    assert Failure.model_validate(caught.value.details[0]).category == "worker_stopped"
    assert (caught.value.type, caught.value.non_retryable) == ("NotPerformed", False)


async def test_an_unsafe_call_that_is_paused_tells_how_far_it_got() -> None:
    with pytest.raises(ApplicationError) as caught:
        await stopped_while_it_asks_for_a_credential(Delivery.UNSAFE, ActivityCancellationDetails(paused=True))

    assert caught.value.type == "NotPerformed"


@pytest.mark.parametrize(
    ("delivery", "details"),
    [
        (Delivery.SAFE, ActivityCancellationDetails(paused=True)),
        (Delivery.KEYED, ActivityCancellationDetails(paused=True)),
        (Delivery.UNSAFE, ActivityCancellationDetails(cancel_requested=True)),
    ],
)
async def test_what_is_cancelled_or_may_be_paused_ends_as_that(
    delivery: Delivery, details: ActivityCancellationDetails
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await stopped_while_it_asks_for_a_credential(delivery, details)


@pytest.mark.parametrize("doubt", ["second attempt", "reset"])
async def test_an_unsafe_call_is_not_made_where_an_earlier_attempt_may_have_been_sent(doubt: str) -> None:
    http, environment = GuardedClient(EgressPolicy()), ActivityEnvironment()
    if doubt == "second attempt":
        environment.info = dataclasses.replace(environment.info, attempt=2)
    asked = call(Delivery.UNSAFE).model_copy(update={"after_reset": doubt == "reset"})

    with pytest.raises(ApplicationError) as caught:
        await environment.run(HttpActivities(BrokenCredentials(), NOWHERE, http).call, asked)
    await http.aclose()

    assert (caught.value.type, caught.value.non_retryable) == ("OutcomeUnknown", True)
    assert "an earlier attempt may have been sent" in caught.value.message

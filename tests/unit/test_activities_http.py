"""What of an error that nobody foresaw crosses into a history."""

import traceback

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.http import HttpActivities
from auth.credential import Credential
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call, Failure
from net.client import GuardedClient
from net.egress import EgressPolicy

CANARY = "planted-93b1f0"


class BrokenCredentials:
    """A defect of our own, whose text holds what it should not."""

    async def resolve(self, ref: CredentialRef) -> Credential:
        raise KeyError(CANARY)

    async def renew(self, credential: Credential) -> Credential:
        raise KeyError(CANARY)


@pytest.mark.parametrize(
    ("delivery", "type_", "final"),
    [
        (Delivery.SAFE, "NotPerformed", False),
        (Delivery.KEYED, "NotPerformed", False),
        (Delivery.UNSAFE, "OutcomeUnknown", True),
    ],
)
async def test_an_error_nobody_foresaw_is_told_by_its_class_alone(delivery: Delivery, type_: str, final: bool) -> None:
    call = Call(
        operation=HttpOperation(method="POST", path="/leads"),
        credential=CredentialRef(adapter="crm", profile="dev"),
        delivery=delivery,
        idempotency_key="k",
    )
    http = GuardedClient(EgressPolicy())

    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(HttpActivities(BrokenCredentials(), http).call, call)
    await http.aclose()

    told = Failure.model_validate(caught.value.details[0])
    assert "KeyError" in told.message
    assert (caught.value.type, caught.value.non_retryable) == (type_, final)
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + told.model_dump_json()

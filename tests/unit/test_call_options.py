"""How long an attempt may take, against what it may have to wait for."""

from datetime import timedelta

import pytest

from auth.refresh_plan import Timing
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call
from workflows.options import call_options


@pytest.mark.parametrize("timeout", ["0.5s", "30s", "5m"])
def test_an_attempt_lasts_through_two_sends_and_all_that_a_token_may_take(timeout: str) -> None:
    operation = HttpOperation.model_validate({"method": "POST", "path": "/leads", "timeout": timeout})
    credential = CredentialRef(adapter="crm", profile="dev")
    call = Call(operation=operation, credential=credential, delivery=Delivery.UNSAFE, idempotency_key="k")

    options = call_options(call, timedelta(hours=24))

    longest = Timing().wait + Timing().watch + Timing().longest
    assert options["start_to_close_timeout"] is not None
    assert options["start_to_close_timeout"] > 2 * (operation.timeout + timedelta(seconds=longest))

"""How long an attempt may take, against what it may have to wait for."""

from datetime import timedelta
from typing import Any

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


@pytest.mark.parametrize(
    ("fields", "transfer"),
    [
        ({}, timedelta(hours=3)),
        ({"answer": "asset"}, timedelta(hours=3)),
        ({"answer": "value"}, timedelta()),
        ({"extract": "a"}, timedelta()),
        ({"answer": "value", "body": {"type": "sftp", "adapter": "bank", "path": "a"}}, timedelta(hours=3)),
        (
            {"answer": "value", "body": {"type": "asset", "asset": {"sha256": "a" * 64, "size": 1}}},
            timedelta(hours=3),
        ),
    ],
)
def test_an_attempt_lasts_through_two_transfers_where_a_body_may_be_streamed(
    fields: dict[str, Any], transfer: timedelta
) -> None:
    operation = HttpOperation.model_validate({"path": "/leads", "transfer_timeout": "3h", **fields})
    credential = CredentialRef(adapter="crm", profile="dev")
    call = Call(operation=operation, credential=credential, delivery=Delivery.SAFE, idempotency_key="k")

    lasts = call_options(call, timedelta(hours=24))["start_to_close_timeout"]

    assert lasts is not None
    assert 2 * transfer < lasts < 2 * transfer + timedelta(minutes=10)

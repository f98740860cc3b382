"""What Temporal and an operator are told of a call that failed, and whom it asks to act."""

import base64
import json
from datetime import timedelta
from typing import Any, get_args

import pytest
from temporalio.exceptions import ApplicationError

from activities.failures import (
    EXCERPT_CHARACTERS,
    application_error,
    credential_refused,
    failed,
    interrupted,
    refused_by_status,
    without_answer,
    without_credential,
)
from activities.judge import Judgement, judge_net_error
from auth.credential import Credential
from auth.errors import Misconfigured
from definitions.integration import Integration
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Actor, Call, Failure, Verdict
from net.errors import Code, NetError, Sent
from net.messages import HttpReply
from net.redaction import LIVE_SECRETS, MASK

REFUSED = Judgement(Verdict.FINAL, "refused")
SECRET = "p4ss+word/&42"


@pytest.fixture(scope="module", autouse=True)
def _live_secrets() -> None:
    LIVE_SECRETS.add(SECRET)


def call(delivery: Delivery = Delivery.UNSAFE) -> Call:
    return Call(
        operation=HttpOperation(method="POST", path="/leads"),
        credential=CredentialRef(adapter="crm", profile="dev"),
        delivery=delivery,
        idempotency_key="k",
    )


def answered(
    body: bytes = b"",
    status: int = 422,
    judgement: Judgement = REFUSED,
    media_type: str = "application/json",
    wait: float | None = None,
) -> Failure:
    reply = HttpReply(status, [("Content-Type", media_type)], body, "HTTP/1.1", 0.1, "https://x.example/")
    return refused_by_status(call(), reply, judgement, wait, "crm-main")


def test_a_refusal_tells_call_status_account_and_what_the_provider_said() -> None:
    found = answered(b'{"error": "email is missing"}')

    assert found == Failure(
        verdict=Verdict.FINAL,
        category="refused",
        message="POST crm/leads · dev: answered 422",
        actor=Actor.USER,
        suggested_action="correct the operation: the provider's answer says what it did not accept",
        status=422,
        account="crm-main",
        excerpt='{"error": "email is missing"}',
    )


@pytest.mark.parametrize(
    ("verdict", "category", "actor", "action"),
    [
        (Verdict.AGAIN, "rate_limited", Actor.PROVIDER, "nothing: it is sent again when the provider allows it"),
        (Verdict.AGAIN, "provider_busy", Actor.PROVIDER, "nothing: it is sent again after a wait"),
        (Verdict.AGAIN, "still_in_progress", Actor.PROVIDER, "nothing: the provider still works on the first request"),
        (Verdict.AGAIN, "provider_error", Actor.PROVIDER, "look at the provider's status page"),
        (Verdict.UNKNOWN, "provider_error", Actor.OPERATOR, "look in the external system whether the call had its eff"),
        (Verdict.FINAL, "refused", Actor.USER, "correct the operation"),
    ],
)
def test_each_judgement_of_a_status_says_who_must_do_what(
    verdict: Verdict, category: str, actor: Actor, action: str
) -> None:
    found = answered(judgement=Judgement(verdict, category))

    assert (found.verdict, found.category, found.actor) == (verdict, category, actor)
    assert found.suggested_action.startswith(action)


def test_an_unknown_outcome_is_said_to_be_unknown() -> None:
    assert answered(status=500, judgement=Judgement(Verdict.UNKNOWN, "provider_error")).message == (
        "POST crm/leads · dev: answered 500; whether it was performed is unknown"
    )


@pytest.mark.parametrize("code", get_args(Code))
@pytest.mark.parametrize("delivery", list(Delivery))
def test_every_fault_of_the_network_says_who_must_do_what(code: Code, delivery: Delivery) -> None:
    error = NetError(code, "POST https://crm.example: fault", sent=Sent.MAYBE)
    judgement = judge_net_error(error, delivery)

    found = without_answer(call(delivery), error, judgement, "crm-main")

    assert found.message.startswith("POST crm/leads · dev: POST https://crm.example: fault")
    assert (found.verdict, found.category) == (judgement.verdict, judgement.category)
    assert found.suggested_action


@pytest.mark.parametrize(
    ("code", "sent", "actor", "action"),
    [
        ("dns_failed", Sent.NO, Actor.OPERATOR, "check that the host and port of the integration's base_url can be"),
        ("timeout", Sent.MAYBE, Actor.OPERATOR, "look in the external system whether the call had its effect"),
        ("egress_denied", Sent.NO, Actor.OPERATOR, "allow the address with TIELINE_EGRESS_ALLOW=HOST:PORT"),
        ("invalid_request", Sent.NO, Actor.USER, "correct the operation"),
        ("response_too_large", Sent.ANSWERED, Actor.USER, "the call was completed; raise max_bytes"),
        ("redirect_refused", Sent.ANSWERED, Actor.OPERATOR, "look where the provider leads: correct base_url, or name"),
        ("too_many_redirects", Sent.ANSWERED, Actor.OPERATOR, "look where the provider leads"),
    ],
)
def test_the_advice_fits_what_went_wrong(code: Code, sent: Sent, actor: Actor, action: str) -> None:
    error = NetError(code, "fault", sent=sent)

    found = without_answer(call(), error, judge_net_error(error, Delivery.UNSAFE), "crm-main")

    assert found.actor is actor
    assert found.suggested_action.startswith(action)


def test_what_may_have_been_performed_is_said_to_be_so() -> None:
    error = NetError("timeout", "fault", sent=Sent.MAYBE)

    found = without_answer(call(), error, judge_net_error(error, Delivery.UNSAFE), "crm-main")

    assert found.message.endswith("; it may have been performed")


CONSENT = {
    "type": "oauth2",
    "grant": "authorization_code",
    "authorize": {"endpoint": "https://crm.example/authorize"},
    "token": {"endpoint": "https://crm.example/token"},
}


@pytest.mark.parametrize(
    ("auth", "action"),
    [
        ({"type": "basic"}, "renew the account's secrets: tieline accounts set-secrets crm-main"),
        (CONSENT, "connect it again: tieline accounts connect crm-main"),
    ],
)
def test_an_account_that_the_provider_refuses_is_told_by_what_it_is_mended(
    auth: dict[str, object], action: str
) -> None:
    document = {"kind": "integration", "key": "crm", "name": "CRM", "base_url": "https://crm.example", "auth": auth}
    credential = Credential("id", "crm-main", Integration.model_validate(document))
    found = credential_refused(call(), credential, 401)

    assert found.suggested_action == action
    assert found.message == "POST crm/leads · dev: answered 401: the provider refuses account 'crm-main'"
    assert (found.verdict, found.actor, found.status) == (Verdict.FINAL, Actor.OPERATOR, 401)


def test_a_fault_of_the_operation_asks_its_author() -> None:
    found = failed(call(), "invalid_request", "header X-A holds a line break")

    assert found.message == "POST crm/leads · dev: header X-A holds a line break"
    assert (found.verdict, found.actor, found.suggested_action) == (Verdict.FINAL, Actor.USER, "correct the operation")


def test_a_credential_that_cannot_be_had_brings_its_own_advice() -> None:
    found = without_credential(call(), Misconfigured("no place", account="crm-main", action="correct the placement"))

    assert (found.verdict, found.category, found.actor) == (Verdict.FINAL, "misconfigured", Actor.OPERATOR)
    assert (found.suggested_action, found.account) == ("correct the placement", "crm-main")


@pytest.mark.parametrize(
    ("sent", "delivery", "verdict", "category"),
    [
        (Sent.NO, Delivery.UNSAFE, Verdict.AGAIN, "worker_stopped"),
        (Sent.MAYBE, Delivery.SAFE, Verdict.AGAIN, "worker_stopped"),
        (Sent.MAYBE, Delivery.KEYED, Verdict.AGAIN, "worker_stopped"),
        (Sent.MAYBE, Delivery.UNSAFE, Verdict.UNKNOWN, "outcome_unknown"),
        (Sent.ANSWERED, Delivery.UNSAFE, Verdict.UNKNOWN, "outcome_unknown"),
    ],
)
def test_a_call_that_its_worker_left_is_judged_by_whether_it_was_sent(
    sent: Sent, delivery: Delivery, verdict: Verdict, category: str
) -> None:
    found = interrupted(call(delivery), sent, "crm-main")

    assert (found.verdict, found.category) == (verdict, category)


@pytest.mark.parametrize(
    ("verdict", "type_", "non_retryable"),
    [
        (Verdict.AGAIN, "NotPerformed", False),
        (Verdict.UNKNOWN, "OutcomeUnknown", True),
        (Verdict.FINAL, "CallFailed", True),
    ],
)
def test_temporal_is_told_what_may_be_repeated(verdict: Verdict, type_: str, non_retryable: bool) -> None:
    failure = answered(judgement=Judgement(verdict, "provider_error"))

    error = application_error(failure)

    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable, error.next_retry_delay) == (type_, non_retryable, None)
    assert Failure.model_validate(error.details[0]) == failure


@pytest.mark.parametrize(("wait", "delay"), [(120.0, 120.0), (0.0, 0.001), (None, None)])
def test_temporal_waits_as_long_as_the_provider_asks(wait: float | None, delay: float | None) -> None:
    error = application_error(answered(judgement=Judgement(Verdict.AGAIN, "rate_limited"), wait=wait))

    assert error.next_retry_delay == (None if delay is None else timedelta(seconds=delay))


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (f"bad key {SECRET}".encode(), "text/plain"),
        (f"bad key {SECRET}".encode("utf-16"), "text/plain"),
        (json.dumps({"error": f"bad key {SECRET}"}).encode(), "application/json"),
        (json.dumps(SECRET).replace("+", "\\u002B").replace("&", "\\u0026").encode(), "application/json"),
        (base64.b64encode(f"user:{SECRET}".encode()), "text/plain"),
        (b"x" * (EXCERPT_CHARACTERS - 5) + SECRET.encode(), "text/plain"),
        (b"x" * (2 * EXCERPT_CHARACTERS - 5) + SECRET.encode() * 400, "text/plain"),
    ],
)
def test_an_excerpt_quotes_no_secret_however_it_is_escaped_or_cut(body: bytes, media_type: str) -> None:
    excerpt = answered(body, media_type=media_type).excerpt

    assert excerpt is not None
    assert len(excerpt) <= EXCERPT_CHARACTERS
    assert "p4ss" not in excerpt
    assert base64.b64encode(b"p4ss+word")[4:-4].decode() not in excerpt


@pytest.mark.parametrize(("body", "media_type"), [(b"", "text/plain"), (b"\x00\xff", "image/png"), (b"\xff", "text/a")])
def test_what_is_no_text_has_no_excerpt(body: bytes, media_type: str) -> None:
    assert answered(body, media_type=media_type).excerpt is None


def test_messages_quote_no_secret() -> None:
    error: Any = NetError("connection_lost", f"GET https://x/{SECRET}")
    messages = [
        without_answer(call(), error, Judgement(Verdict.FINAL, "refused"), "a").message,
        without_credential(call(), Misconfigured(f"not {SECRET}", account="a", action="x")).message,
        failed(call(), "invalid_request", f"not {SECRET}").message,
    ]

    assert [MASK in message and SECRET not in message for message in messages] == [True] * 3

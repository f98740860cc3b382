"""The table of what may be sent again (RFC 9110 §9.2.2 and §15), row by row."""

from typing import cast, get_args

import pytest

from activities.judge import judge_net_error, judge_status
from definitions.operation import Delivery, HttpOperation
from definitions.run import Verdict
from net.errors import Code, NetError, Sent

AGAIN, UNKNOWN, FINAL = Verdict.AGAIN, Verdict.UNKNOWN, Verdict.FINAL
SAFE, KEYED, UNSAFE = Delivery.SAFE, Delivery.KEYED, Delivery.UNSAFE


def verdict_of(
    status: int,
    delivery: Delivery,
    *,
    method: str = "POST",
    attempt: int = 1,
    told_to_wait: bool = False,
    success: tuple[str, ...] = ("2xx",),
) -> Verdict | None:
    operation = HttpOperation.model_validate({"method": method, "path": "/leads", "success": success})
    return judge_status(
        status, operation=operation, delivery=delivery, attempt=attempt, told_to_wait=told_to_wait
    ).verdict


@pytest.mark.parametrize("status", [408, 425, 429])
@pytest.mark.parametrize("delivery", list(Delivery))
def test_a_status_that_says_not_processed_is_sent_again_whatever_the_delivery(status: int, delivery: Delivery) -> None:
    assert verdict_of(status, delivery) is AGAIN


@pytest.mark.parametrize(("delivery", "expected"), [(SAFE, AGAIN), (KEYED, AGAIN), (UNSAFE, UNKNOWN)])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_server_error_leaves_the_outcome_of_an_unsafe_call_unknown(
    status: int, delivery: Delivery, expected: Verdict
) -> None:
    assert verdict_of(status, delivery) is expected


def test_a_503_that_names_a_time_to_come_back_was_not_performed() -> None:
    assert verdict_of(503, UNSAFE, told_to_wait=True) is AGAIN


@pytest.mark.parametrize(("delivery", "expected"), [(SAFE, FINAL), (KEYED, AGAIN), (UNSAFE, FINAL)])
def test_a_conflict_means_still_in_progress_only_under_an_idempotency_key(
    delivery: Delivery, expected: Verdict
) -> None:
    assert verdict_of(409, delivery) is expected


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422, 501, 505])
@pytest.mark.parametrize("delivery", list(Delivery))
def test_other_refusals_are_final(status: int, delivery: Delivery) -> None:
    assert verdict_of(status, delivery) is FINAL


def test_a_repeated_delete_that_finds_nothing_has_succeeded() -> None:
    assert verdict_of(404, SAFE, method="DELETE", attempt=2) is None
    assert verdict_of(404, SAFE, method="DELETE", attempt=1) is FINAL


def test_an_operation_may_name_other_statuses_as_success() -> None:
    assert verdict_of(404, SAFE, method="GET", success=("2xx", "404")) is None
    assert verdict_of(304, SAFE, method="GET", success=("200-204", "304")) is None
    assert verdict_of(205, SAFE, method="GET", success=("200-204", "304")) is FINAL


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("code", ["dns_failed", "connect_failed", "tls_failed", "pool_timeout"])
def test_what_was_not_sent_is_sent_again(code: Code, delivery: Delivery) -> None:
    assert judge_net_error(NetError(code, "GET https://api.example", sent=Sent.NO), delivery).verdict is AGAIN


@pytest.mark.parametrize(("delivery", "expected"), [(SAFE, AGAIN), (KEYED, AGAIN), (UNSAFE, UNKNOWN)])
@pytest.mark.parametrize("sent", [Sent.MAYBE, Sent.ANSWERED])
@pytest.mark.parametrize("code", ["timeout", "connection_lost", "protocol_error"])
def test_what_may_have_been_sent_is_repeated_only_where_that_has_no_further_effect(
    code: Code, sent: Sent, delivery: Delivery, expected: Verdict
) -> None:
    assert judge_net_error(NetError(code, "POST https://api.example", sent=sent), delivery).verdict is expected


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("code", ["response_too_large", "undecodable_body", "redirect_refused", "too_many_redirects"])
def test_an_answer_that_cannot_be_used_is_final(code: Code, delivery: Delivery) -> None:
    assert judge_net_error(NetError(code, "POST https://api.example", sent=Sent.ANSWERED), delivery).verdict is FINAL


@pytest.mark.parametrize("code", ["egress_denied", "invalid_request"])
def test_what_policy_forbids_is_final(code: Code) -> None:
    assert judge_net_error(NetError(code, "POST https://api.example", sent=Sent.NO), Delivery.SAFE).verdict is FINAL


ROWS: list[tuple[str, str]] = [
    # GET PUT DELETE, POST with a key, POST without: a(gain), u(nknown), f(inal), d(one)
    ("not sent: dns_failed", "aaaaa"),
    ("not sent: connect_failed", "aaaaa"),
    ("not sent: tls_failed", "aaaaa"),
    ("not sent: pool_timeout", "aaaaa"),
    ("not sent: egress_denied", "fffff"),
    ("not sent: invalid_request", "fffff"),
    ("not sent: content_failed", "aaaaa"),
    ("maybe sent: content_failed", "aaaau"),
    ("maybe sent: timeout", "aaaau"),
    ("maybe sent: connection_lost", "aaaau"),
    ("maybe sent: protocol_error", "aaaau"),
    ("answered: response_too_large", "fffff"),
    ("answered: undecodable_body", "fffff"),
    ("answered: redirect_refused", "fffff"),
    ("answered: too_many_redirects", "fffff"),
    ("200", "ddddd"),
    ("204", "ddddd"),
    ("304", "fffff"),
    ("400", "fffff"),
    ("401", "fffff"),
    ("403", "fffff"),
    ("404", "fffff"),
    ("404 again", "ffdff"),
    ("410 again", "ffdff"),
    ("408", "aaaaa"),
    ("409", "fffaf"),
    ("412", "fffff"),
    ("413", "fffff"),
    ("422", "fffff"),
    ("425", "aaaaa"),
    ("429", "aaaaa"),
    ("429 with Retry-After", "aaaaa"),
    ("500", "aaaau"),
    ("501", "fffff"),
    ("502", "aaaau"),
    ("503", "aaaau"),
    ("503 with Retry-After", "aaaaa"),
    ("504", "aaaau"),
    ("505", "fffff"),
    ("999", "aaaau"),
]
COLUMNS = [("GET", SAFE), ("PUT", SAFE), ("DELETE", SAFE), ("POST", KEYED), ("PATCH", UNSAFE)]
LETTERS: dict[Verdict | None, str] = {AGAIN: "a", UNKNOWN: "u", FINAL: "f", None: "d"}
SENT = {"not sent": Sent.NO, "maybe sent": Sent.MAYBE, "answered": Sent.ANSWERED}


@pytest.mark.parametrize(("situation", "row"), ROWS)
def test_the_whole_table(situation: str, row: str) -> None:
    sent, _, code = situation.partition(": ")

    def verdict(method: str, delivery: Delivery) -> Verdict | None:
        if code:
            return judge_net_error(NetError(cast("Code", code), "fault", sent=SENT[sent]), delivery).verdict
        return verdict_of(
            int(situation.split()[0]),
            delivery,
            method=method,
            attempt=2 if "again" in situation else 1,
            told_to_wait="Retry-After" in situation,
        )

    assert "".join(LETTERS[verdict(method, delivery)] for method, delivery in COLUMNS) == row


def test_the_table_has_every_fault_that_the_network_can_have() -> None:
    assert {situation.partition(": ")[2] for situation, _ in ROWS} - {""} == set(get_args(Code))

"""Each rule of the soak's verdict bites: what was lost on purpose is reported, by its id."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.soak.ledger import AccountEnd, Asked, End, Ledger, Loss, Observed, Order, Redemption
from tests.soak.plan import Plan
from tests.soak.report import report
from tests.soak.verdict import RULES, offences

UNSAFE = Order("order-unsafe", "ann", "unsafe", "run-unsafe")
KEYED = Order("order-keyed", "ann", "keyed", "run-keyed")
PARKED = Order("order-parked", "ann", "unsafe", "run-parked")
READ = Order("order-read", "ann", "read", "run-read")

KILLED, OTHER = 101, 102
"""Processes."""


def well(grace: float = 30.0) -> Observed:
    """A worker was killed in the middle of a redemption and a call, and nothing was lost."""
    ledger = Ledger(
        redemptions=[
            Redemption("ann", 0, KILLED, 9.0, accepted=True),
            Redemption("ann", 0, OTHER, 20.0, accepted=True, left=20.5),
        ],
        asked=[
            Asked("order-unsafe", "ann", "unsafe", OTHER, 5.0, performed=True, left=5.5),
            Asked("order-keyed", "ann", "keyed", KILLED, 9.9, performed=True),
            Asked("order-keyed", "ann", "keyed", OTHER, 30.0, left=30.2),
        ],
        losses=[Loss(KILLED, 10.0)],
    )
    ends = [
        End(UNSAFE, "done"),
        End(KEYED, "done"),
        End(PARKED, "waiting_for_decision", "outcome_unknown"),
        End(READ, "done"),
    ]
    ann = AccountEnd("ann", "active", None, 5, True, False)
    return Observed(ledger, ends, accounts=[ann], again=[], waited=0, grace=grace)


def account(seen: Observed, **changes: object) -> None:
    seen.accounts[0] = replace(seen.accounts[0], **changes)  # type: ignore[arg-type]


def ended(seen: Observed, order: Order, state: str, category: str = "") -> None:
    seen.ends[:] = [End(order, state, category) if end.order == order else end for end in seen.ends]


def asked(seen: Observed, order: str, kind: str, **more: object) -> None:
    seen.ledger.asked.append(Asked(order, **{"account": "ann", "kind": kind, "caller": OTHER, "arrived": 40.0, **more}))  # type: ignore[arg-type]


Break = Callable[[Observed], object]

BROKEN: list[tuple[str, Break, str]] = [
    (
        "an account is dead though the server honours its refresh token",
        lambda seen: account(seen, state="needs_reconnect"),
        "ann",
    ),
    (
        "an account is alive though the server refuses its refresh token",
        lambda seen: account(seen, honoured=False),
        "ann",
    ),
    (
        "an account or its family was lost, and no reply was",
        lambda seen: account(seen, family_revoked=True),
        "ann (active, cause None)",
    ),
    (
        "a refresh token was sent twice, and not because a worker was lost",
        lambda seen: seen.ledger.losses.clear(),
        "ann, refresh token 0, by process 101 and 102",
    ),
    (
        "a run is done and its write is not there exactly once",
        lambda seen: seen.ledger.asked.pop(0),
        "order-unsafe (run-unsafe), written 0 times",
    ),
    (
        "a write is there more than once",
        lambda seen: asked(seen, "order-keyed", "keyed", performed=True),
        "order-keyed, 2 times",
    ),
    (
        "an unsafe write was performed twice",
        lambda seen: asked(seen, "order-unsafe", "unsafe", performed=True),
        "order-unsafe",
    ),
    (
        "a write belongs to no run",
        lambda seen: asked(seen, "order-of-nobody", "unsafe", performed=True),
        "order-of-nobody",
    ),
    (
        "a write came with another account's token",
        lambda seen: asked(seen, "order-keyed", "keyed", account="bob"),
        "order-keyed",
    ),
    (
        "a run is neither done nor waits with an unknown outcome",
        lambda seen: ended(seen, READ, "failed", "internal_error"),
        "run-read (read, failed, internal_error)",
    ),
    (
        "an account was connected again and does not work",
        lambda seen: seen.again.append(AccountEnd("bob", "needs_reconnect", "lost_reply", 9, False, True)),
        "bob",
    ),
]


def lost(seen: Observed, cause: str = "lost_reply") -> None:
    """The account is dead, and its stored token is the one whose answer got lost."""
    seen.ledger.redemptions[1].accepted = False
    account(seen, state="needs_reconnect", cause=cause, stored=0, honoured=False, family_revoked=True)


def test_a_worker_that_was_killed_breaks_no_rule_by_itself() -> None:
    assert offences(well()) == []


@pytest.mark.parametrize(("rule", "break_it", "whose"), BROKEN, ids=[rule for rule, _, _ in BROKEN])
def test_a_broken_rule_is_reported_with_what_broke_it(rule: str, break_it: Break, whose: str) -> None:
    seen = well()
    break_it(seen)
    assert [each.id for each in offences(seen) if each.rule == rule] == [whose]


def test_every_rule_is_broken_here() -> None:
    assert [rule for rule, _, _ in BROKEN] == list(RULES)


def test_without_a_grace_period_a_lost_reply_may_cost_an_account() -> None:
    seen = well(grace=0.0)
    lost(seen)
    assert offences(seen) == []


@pytest.mark.parametrize(
    ("grace", "cause", "killed"),
    [(30.0, "lost_reply", True), (0.0, "invalid_grant", True), (0.0, "lost_reply", False)],
    ids=["with a grace period", "by another cause", "nobody was killed"],
)
def test_no_other_account_may_be_lost(grace: float, cause: str, killed: bool) -> None:
    seen = well(grace)
    lost(seen, cause)
    seen.ledger.losses[:] = [Loss(KILLED if killed else OTHER, 10.0)]
    assert f"ann (needs_reconnect, cause {cause})" in [each.id for each in offences(seen)]


def test_a_worker_that_wakes_with_the_lost_answer_may_have_the_account_die_by_another_cause() -> None:
    seen = well(grace=0.0)
    lost(seen, "invalid_grant")
    account(seen, stored=1)
    seen.ledger.losses[:] = [Loss(KILLED, 10.0, until=80.0)]
    assert offences(seen) == []


@pytest.mark.parametrize(("left", "rules"), [(None, 0), (21.0, 0), (9.5, 1)])
def test_who_waits_in_vain_for_an_answer_may_ask_again(left: float | None, rules: int) -> None:
    seen = well()
    seen.ledger.losses.clear()
    seen.ledger.redemptions[0].left = left
    seen.ledger.redemptions[1].caller = KILLED
    assert len(offences(seen)) == rules


def test_a_worker_that_was_stopped_and_woken_in_between_lost_nothing_later() -> None:
    seen = well()
    seen.ledger.losses[:] = [Loss(KILLED, 1.0, until=8.0)]
    assert [each.rule for each in offences(seen)] == [
        "a refresh token was sent twice, and not because a worker was lost"
    ]


@pytest.mark.parametrize(
    ("order", "state", "category"),
    [
        (PARKED, "waiting_for_decision", "credential_refused"),
        (KEYED, "waiting_for_decision", "outcome_unknown"),
        (READ, "under_way", "waiting_for_reconnect"),
        (UNSAFE, "failed", "outcome_unknown"),
    ],
)
def test_a_run_may_wait_for_a_decision_about_an_unsafe_write_only(order: Order, state: str, category: str) -> None:
    seen = well()
    ended(seen, order, state, category)
    rule = "a run is neither done nor waits with an unknown outcome"
    assert [each.id for each in offences(seen) if each.rule == rule] == [
        f"{order.run_id} ({order.kind}, {state}, {category})"
    ]


def test_a_report_of_a_broken_rule_names_the_seed_and_what_broke_it(capsys: pytest.CaptureFixture[str]) -> None:
    seen = well()
    asked(seen, "order-unsafe", "unsafe", performed=True)
    status = report(Plan(seed=4711, kills=1), seen)
    told = capsys.readouterr().out
    assert status == 1
    assert "BROKEN  an unsafe write was performed twice: order-unsafe" in told
    assert "--seed 4711" in told


def test_a_soak_that_was_broken_off_has_not_passed(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Plan(seed=1, kills=2), well()) == 1
    assert "broken off after 1 kills" in capsys.readouterr().out


def test_a_soak_that_lost_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Plan(seed=1, kills=1), well()) == 0
    assert "nothing was lost" in capsys.readouterr().out

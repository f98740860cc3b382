"""What must hold after a soak, computed from what both sides wrote down, and what was counted."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.soak.ledger import AccountEnd, Ledger, Observed, Redemption

ACTIVE, NEEDS_RECONNECT, LOST_REPLY = "active", "needs_reconnect", "lost_reply"
WAITING_FOR_DECISION, WAITING_FOR_RECONNECT = "waiting_for_decision", "waiting_for_reconnect"
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Offence:
    """Something that must not be, and whose."""

    rule: str
    id: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.id}"


def offences(seen: Observed) -> list[Offence]:
    """Every rule that was broken, and by what."""
    return [Offence(rule, each) for rule, find in RULES.items() for each in find(seen)]


def dead_though_honoured(seen: Observed) -> Iterator[str]:
    yield from (each.name for each in seen.accounts if each.state != ACTIVE and each.honoured)


def alive_though_refused(seen: Observed) -> Iterator[str]:
    yield from (each.name for each in seen.accounts if each.state == ACTIVE and not each.honoured)


def lost_for_nothing(seen: Observed) -> Iterator[str]:
    """A server with a grace period forgives; without one only a reply that a worker did not live to store is lost."""
    for account in seen.accounts:
        if account.state == ACTIVE and not account.family_revoked:
            continue
        if seen.grace > 0 or not lost_reply(account, seen.ledger):
            yield f"{account.name} ({account.state}, cause {account.cause})"


def lost_reply(account: AccountEnd, ledger: Ledger) -> bool:
    """Whether an answer for it went to a worker that was killed or stopped before it stored it.

    One that wakes later may store it after all; then it is with the heir that the server's refusal is noticed.
    """
    own = [each for each in _by_token(ledger).values() if each[0].account == account.name and len(each) > 1]
    for first, again in (pair for each in own for pair in itertools.pairwise(each)):
        woke = any(loss.until and loss.cuts(first.caller, first.arrived, again.arrived) for loss in ledger.losses)
        told = account.state == NEEDS_RECONNECT and (account.cause == LOST_REPLY or woke)
        if told and first.accepted and not again.accepted and _was_cut(first, ledger, again.arrived):
            return True
    return False


def redeemed_twice(seen: Observed) -> Iterator[str]:
    """It is sent again only when whoever sent it first was killed or stopped, or waited in vain for its answer."""
    for number, redemptions in _by_token(seen.ledger).items():
        for first, again in itertools.pairwise(redemptions):
            in_vain = first.caller == again.caller and (first.left is None or first.left > again.arrived)
            if not in_vain and not _was_cut(first, seen.ledger, again.arrived):
                yield f"{first.account}, refresh token {number}, by process {first.caller} and {again.caller}"


def done_but_not_written_once(seen: Observed) -> Iterator[str]:
    written = _written(seen.ledger)
    for end in seen.ends:
        if end.order.kind != "read" and end.state == "done" and written[end.order.id] != 1:
            yield f"{end.order.id} ({end.order.run_id}), written {written[end.order.id]} times"


def written_twice(seen: Observed) -> Iterator[str]:
    yield from (f"{order}, {times} times" for order, times in _written(seen.ledger).items() if times > 1)


def unsafe_and_sent_twice(seen: Observed) -> Iterator[str]:
    times = Counter(each.order for each in seen.ledger.asked if each.kind == "unsafe" and each.performed)
    yield from (order for order, count in times.items() if count > 1)


def written_without_a_run(seen: Observed) -> Iterator[str]:
    known = {end.order.id for end in seen.ends}
    yield from (order for order in _written(seen.ledger) if order not in known)


def written_for_another_account(seen: Observed) -> Iterator[str]:
    owner = {end.order.id: end.order.account for end in seen.ends}
    yield from (each.order for each in seen.ledger.asked if owner.get(each.order, each.account) != each.account)


def not_as_it_should_be(seen: Observed) -> Iterator[str]:
    """Every run is done in the end: only of an unsafe write somebody is asked whether it arrived."""
    for end in seen.ends:
        asked = end.order.kind == "unsafe" and (end.state, end.category) == (WAITING_FOR_DECISION, "outcome_unknown")
        if end.state != "done" and not asked:
            yield f"{end.order.run_id} ({end.order.kind}, {end.state}, {end.category})"


def dead_though_connected_again(seen: Observed) -> Iterator[str]:
    yield from (each.name for each in seen.again if each.state != ACTIVE or not each.honoured)


RULES: dict[str, Callable[[Observed], Iterator[str]]] = {
    "an account is dead though the server honours its refresh token": dead_though_honoured,
    "an account is alive though the server refuses its refresh token": alive_though_refused,
    "an account or its family was lost, and no reply was": lost_for_nothing,
    "a refresh token was sent twice, and not because a worker was lost": redeemed_twice,
    "a run is done and its write is not there exactly once": done_but_not_written_once,
    "a write is there more than once": written_twice,
    "an unsafe write was performed twice": unsafe_and_sent_twice,
    "a write belongs to no run": written_without_a_run,
    "a write came with another account's token": written_for_another_account,
    "a run is neither done nor waits with an unknown outcome": not_as_it_should_be,
    "an account was connected again and does not work": dead_though_connected_again,
}


def counts(seen: Observed) -> list[tuple[str, str]]:
    """What was seen, for people."""
    ledger = seen.ledger
    killed = [loss for loss in ledger.losses if loss.until is None]
    twice = sum(len(each) > 1 for each in _by_token(ledger).values())
    rows = [
        ("workers killed", f"{len(killed)}"),
        (
            "  while a token request was under way",
            f"{sum(_had_a_redemption(ledger, loss.caller, loss.at) for loss in killed)}",
        ),
        ("  while a call was under way", f"{sum(_had_a_call(ledger, loss.caller, loss.at) for loss in killed)}"),
        ("workers stopped for longer than a lease, and woken", f"{len(ledger.losses) - len(killed)}"),
        ("workers that gave up while they started", f"{ledger.gave_up}"),
        ("refresh tokens redeemed", f"{sum(each.accepted for each in ledger.redemptions)}"),
        ("  sent again after a worker was lost", f"{twice}"),
        ("  longest from a lost answer to that, in seconds", f"{_longest(ledger):.0f}"),
        ("calls refused for their token (401)", f"{ledger.refused_tokens}"),
        ("accounts alive", f"{sum(each.state == ACTIVE for each in seen.accounts)} of {len(seen.accounts)}"),
        ("  whose stored refresh token the server honours", f"{sum(each.honoured for each in seen.accounts)}"),
        ("  dead by a lost reply", f"{sum(each.cause == LOST_REPLY for each in seen.accounts)}"),
        ("families revoked", f"{sum(each.family_revoked for each in seen.accounts)}"),
        ("runs that waited for a dead account to be connected again", f"{seen.waited}"),
        ("runs", f"{len(seen.ends)}"),
    ]
    by_state = Counter((end.state, end.category) for end in seen.ends)
    rows += [(f"  {state}{f' ({category})' if category else ''}", f"{n}") for (state, category), n in by_state.items()]
    parked = [end.order.id for end in seen.ends if end.state == WAITING_FOR_DECISION]
    written = _written(ledger)
    rows += [
        ("    of them written", f"{sum(written[each] == 1 for each in parked)}"),
        ("writes", f"{sum(written.values())}"),
        ("  of runs that are done", f"{sum(written[end.order.id] for end in seen.ends if end.state == 'done')}"),
        ("  sent again and recognised by their key", f"{_recognised(ledger)}"),
    ]
    return rows


def _by_token(ledger: Ledger) -> dict[int, list[Redemption]]:
    found: dict[int, list[Redemption]] = {}
    for each in ledger.redemptions:
        found.setdefault(each.spent, []).append(each)
    return found


def _longest(ledger: Ledger) -> float:
    pairs = (pair for each in _by_token(ledger).values() for pair in itertools.pairwise(each))
    return max((again.arrived - first.arrived for first, again in pairs), default=0.0)


def _was_cut(first: Redemption, ledger: Ledger, by: float) -> bool:
    if first.caller is None:
        return True
    return any(loss.cuts(first.caller, first.arrived, by) for loss in ledger.losses)


def _written(ledger: Ledger) -> Counter[str]:
    return Counter(each.order for each in ledger.asked if each.performed)


def _recognised(ledger: Ledger) -> int:
    return sum(each.kind == "keyed" and not each.performed for each in ledger.asked)


def _had_a_redemption(ledger: Ledger, caller: int, at: float) -> bool:
    return any(each.caller == caller and each.arrived <= at <= (each.left or FOREVER) for each in ledger.redemptions)


def _had_a_call(ledger: Ledger, caller: int, at: float) -> bool:
    return any(each.caller == caller and each.arrived <= at <= (each.left or FOREVER) for each in ledger.asked)

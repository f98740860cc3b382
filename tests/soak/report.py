"""What a soak tells: the counts, and every rule that was broken, by what."""

from tests.soak.ledger import Observed
from tests.soak.plan import Plan
from tests.soak.verdict import counts, offences

SHOWN = 20
"""Offences; of more only the number is told."""


def report(plan: Plan, seen: Observed) -> int:
    """Print it; returns the exit status."""
    rows, found = counts(seen), offences(seen)
    for what, count in rows:
        print(f"{what:<{max(len(each) for each, _ in rows)}}  {count:>8}")
    print()
    killed = sum(loss.until is None for loss in seen.ledger.losses)
    if killed < plan.kills:
        print(f"broken off after {killed} kills: the time was over")
    for offence in found[:SHOWN]:
        print(f"BROKEN  {offence}")
    if found:
        print(f"{len(found)} rules broken; the same kills again: python -m tests.soak --seed {plan.seed}")
    elif killed == plan.kills:
        print("nothing was lost")
    return 1 if found or killed < plan.kills else 0

"""What a run does with an error: wait and try again, end, or wait for an operator's decision."""

from datetime import timedelta
from enum import StrEnum

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=5)
WAIT_FACTOR = 2.0


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts in vain."""
    longer: float = WAIT_FACTOR ** min(max(attempts - 1, 0), 20)
    return min(FIRST_WAIT * longer, LONGEST_WAIT)


class FailurePolicy(StrEnum):
    """What a run does with a final error: end, or wait for an operator's decision."""

    FAIL = "fail"
    PARK = "park"

"""What a run does with a final error."""

from enum import StrEnum


class FailurePolicy(StrEnum):
    """What a run does with a final error: end, or wait for an operator's decision."""

    FAIL = "fail"
    PARK = "park"

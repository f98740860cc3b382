"""How long a provider asks us to wait, in every form that is in use and in some that are not."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from net.retry_after import retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
LIMIT = 86_400.0
IN_90_SECONDS = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
NAMES = [
    *("Retry-After", "Retry-After-Ms", "RateLimit", "RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"),
    *("RateLimit-Remaining", "X-RateLimit-Remaining", "Date"),
]


def wait(*headers: tuple[str, str], limit: float = LIMIT) -> float | None:
    return retry_after(headers, now=NOW, limit=limit)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("+5", 5),
        ("1.5", 1.5),
        ("007", 7),
        (IN_90_SECONDS, 90),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90),
        ("Sun Mar  1 12:01:30 2026", 90),
        ("Sun, 01 Mar 2026 13:01:30 +0100", 90),
        ("2026-03-01T12:01:30Z", 90),
        ("2026-03-01T12:01:30", 90),
        (str(EPOCH + 90), 90),
        (str((EPOCH + 90) * 1000), 90),
    ],
)
def test_retry_after_is_a_delay_a_date_or_an_instant(value: str, seconds: float) -> None:
    assert wait(("Retry-After", value)) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("-1", "-99999999999", "-0", "Wed, 21 Oct 2015 07:28:00 GMT", "Sun, 01 Mar 2026 11:59:59 GMT"),
        *("2015-10-21", str(EPOCH - 90), str((EPOCH - 90) * 1000)),
    ],
)
def test_a_negative_delay_and_a_date_in_the_past_mean_now(value: str) -> None:
    assert wait(("Retry-After", value)) == 0


@pytest.mark.parametrize(
    "value",
    ["99999999999", "86401", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "2999-01-01T00:00:00Z", "1" + "0" * 15],
)
def test_a_wait_beyond_the_limit_becomes_the_limit(value: str) -> None:
    assert wait(("Retry-After", value)) == LIMIT


@pytest.mark.parametrize(
    "value",
    [
        *("", "soon", "NaN", "nan", "inf", "-inf", "Infinity", "1e3", "0x10", "1,5", "12 s", "--1", "1_000", "½", "²"),
        *("120, 240", "P1D", "Sun, 99 Mar 2026 12:00:00 GMT", "x" * 10_000, "\0"),
        *(
            "99999-01-01",
            "Sun, 01 Mar 2026 25:00:00 GMT",
            "GMT",
            ",",
            "1 Jan",
            "Sun, 01 Mar 99999999999 12:00:00 GMT",
            "Sun, 01 Mar 2026 12:00:00 +9999999999",
        ),
    ],
)
def test_garbage_says_nothing(value: str) -> None:
    assert wait(("Retry-After", value)) is None


def test_no_header_says_nothing() -> None:
    assert wait() is None
    assert wait(("Content-Type", "application/json")) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After-Ms", "1500")], 1.5),
        ([("retry-after-ms", "1500"), ("Retry-After", "2")], 1.5),
        ([("Retry-After-Ms", "soon"), ("Retry-After", "2")], 2),
        ([("RETRY-AFTER", "3"), ("Retry-After", "4")], 3),
        ([("RateLimit", '"default";r=0;t=30')], 30),
        ([("RateLimit", "limit=100, remaining=0, reset=30")], 30),
        ([("RateLimit", "t=30")], 30),
        ([("RateLimit-Remaining", "0"), ("RateLimit-Reset", "30")], 30),
        ([("X-RateLimit-Reset", "30")], 30),
        ([("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(EPOCH + 30))], 30),
        ([("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", str((EPOCH + 30) * 1000))], 30),
        ([("X-RateLimit-Reset", "2026-03-01T12:00:30Z")], 30),
        ([("Retry-After", "5"), ("X-RateLimit-Reset", "30")], 5),
        ([("Retry-After", "garbage"), ("X-RateLimit-Reset", "30")], 30),
        ([("RateLimit-Reset", "garbage"), ("X-RateLimit-Reset", "30")], 30),
        ([("X-RateLimit-Reset", "-30")], 0),
    ],
)
def test_the_most_exact_header_that_can_be_read_counts(headers: list[tuple[str, str]], seconds: float) -> None:
    assert wait(*headers) == seconds


@pytest.mark.parametrize(
    "headers",
    [
        [("RateLimit", '"default";r=12;t=30')],
        [("RateLimit", "limit=100, remaining=50, reset=30")],
        [("RateLimit-Remaining", "50"), ("RateLimit-Reset", "30")],
        [("X-RateLimit-Remaining", "1"), ("X-RateLimit-Reset", "30")],
    ],
)
def test_a_reset_does_not_count_while_requests_remain(headers: list[tuple[str, str]]) -> None:
    assert wait(*headers) is None


@pytest.mark.parametrize("hours", [-5, 5])
def test_instants_are_read_by_the_providers_own_clock(hours: int) -> None:
    theirs = NOW + timedelta(hours=hours)
    date = ("Date", format_datetime(theirs, usegmt=True))
    asked = ("Retry-After", format_datetime(theirs + timedelta(seconds=90), usegmt=True))
    assert wait(date, asked) == 90


def test_a_date_that_is_none_leaves_our_own_clock() -> None:
    assert wait(("Date", "yesterday"), ("Retry-After", IN_90_SECONDS)) == 90


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=40) | st.floats().map(str) | st.integers().map(str)))
)
@example([("Retry-After", "9" * 400), ("Date", "Fri, 31 Dec 9999 23:59:59 GMT")])
@example([("RateLimit", "r=0;t=" + "9" * 5000)])
def test_whatever_a_provider_says_the_wait_is_none_or_within_the_limit(headers: list[tuple[str, str]]) -> None:
    seconds = wait(*headers)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= LIMIT)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_every_http_date_is_understood(date: datetime) -> None:
    expected = min(max((date.replace(microsecond=0) - NOW).total_seconds(), 0), LIMIT)
    assert wait(("Retry-After", format_datetime(date, usegmt=True))) == expected

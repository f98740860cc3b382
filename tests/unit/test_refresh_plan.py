"""Who asks for a new token, and when."""

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.refresh_plan import (
    DAY,
    Standing,
    Step,
    Timing,
    again_in,
    due_at,
    is_due,
    kept_alive,
    next_step,
    on_demand_only,
    shut_for,
    warn_at,
)
from auth.token_error import ErrorClass

NOW = 1_780_000_000.0
FRESH = Standing(now=NOW, version=3, has_token=True, issued_at=NOW - 600, expires_at=NOW + 3000)
ENDING = dataclasses.replace(FRESH, issued_at=NOW - 3570, expires_at=NOW + 30)
EXPIRED = dataclasses.replace(FRESH, expires_at=NOW - 1)
NONE = Standing(now=NOW)


def leased(standing: Standing) -> Standing:
    return dataclasses.replace(standing, leased_until=NOW + 10)


def dead(standing: Standing) -> Standing:
    return dataclasses.replace(standing, alive=False)


def test_a_fresh_token_is_used() -> None:
    assert next_step(FRESH) is Step.USE


def test_a_token_of_unknown_expiry_is_used_until_it_is_refused() -> None:
    unknown = dataclasses.replace(FRESH, expires_at=None)
    assert next_step(unknown) is Step.USE
    assert next_step(unknown, rejected_version=3) is Step.REDEEM


@pytest.mark.parametrize("standing", [NONE, EXPIRED, ENDING])
def test_a_missing_expired_or_ending_token_is_renewed(standing: Standing) -> None:
    assert next_step(standing) is Step.REDEEM


def test_a_token_that_ends_soon_is_used_while_somebody_else_renews_it() -> None:
    assert next_step(leased(ENDING)) is Step.USE


@pytest.mark.parametrize("standing", [NONE, EXPIRED])
def test_nobody_redeems_without_the_lease(standing: Standing) -> None:
    assert next_step(leased(standing)) is Step.WAIT


def test_a_lease_that_ran_out_is_taken_over() -> None:
    assert next_step(dataclasses.replace(NONE, leased_until=NOW)) is Step.REDEEM


def test_a_refused_version_is_renewed_though_it_has_not_expired() -> None:
    assert next_step(FRESH, rejected_version=3) is Step.REDEEM


def test_a_newer_version_than_the_refused_one_is_used() -> None:
    assert next_step(FRESH, rejected_version=2) is Step.USE


def test_a_dead_grant_s_token_serves_until_it_expires() -> None:
    assert next_step(dead(ENDING)) is Step.USE
    assert next_step(dead(EXPIRED)) is Step.GIVE_UP


def test_a_dead_grant_is_not_asked_again_for_a_refused_token() -> None:
    assert next_step(dead(FRESH), rejected_version=3) is Step.GIVE_UP


REFUSED = dataclasses.replace(NONE, refused_until=NOW + 10)


def test_what_was_refused_for_good_is_not_asked_again_before_its_time() -> None:
    assert next_step(REFUSED) is Step.GIVE_UP
    assert next_step(dataclasses.replace(REFUSED, now=NOW + 10)) is Step.REDEEM


def test_a_token_that_ends_soon_is_used_though_its_renewal_was_refused() -> None:
    assert next_step(dataclasses.replace(ENDING, refused_until=NOW + 10)) is Step.USE


@pytest.mark.parametrize("standing", [NONE, FRESH])
def test_a_person_may_ask_again_at_once_for_what_was_refused(standing: Standing) -> None:
    assert next_step(dataclasses.replace(standing, refused_until=NOW + 10), anew=True) is Step.REDEEM


def test_a_person_gets_a_good_token_as_it_is() -> None:
    assert next_step(FRESH, anew=True) is Step.USE


def test_a_token_of_one_minute_is_not_renewed_all_the_time() -> None:
    short = Standing(now=NOW, version=1, has_token=True, issued_at=NOW, expires_at=NOW + 60)
    assert next_step(short) is Step.USE
    assert next_step(dataclasses.replace(short, now=NOW + 55)) is Step.REDEEM


def test_a_claim_may_last_as_long_as_all_that_is_done_under_it() -> None:
    assert Timing(deadline=10, persist=5).longest == 35


def test_a_killed_holder_is_followed_while_a_provider_forgives_and_a_living_one_is_seen_to_live() -> None:
    timing = Timing()
    assert timing.lease + timing.watch < timing.wait < 30
    assert 2 * timing.pulse < timing.lease
    assert timing.pulse < timing.watch


@given(account=st.uuids().map(str), lifetime=st.floats(min_value=300, max_value=1e6))
def test_renewal_ahead_is_spread_over_15_percent_of_the_lifetime(account: str, lifetime: float) -> None:
    due = due_at(account, NOW, NOW + lifetime, None)
    assert due is not None
    assert 0.699 * lifetime <= due - NOW <= 0.851 * lifetime


def test_renewal_ahead_is_spread_evenly() -> None:
    shares = sorted(((due_at(f"account-{n}", 0.0, 1000.0, None) or 0.0) - 700) / 150 for n in range(1000))
    assert [round(shares[n], 1) for n in (100, 500, 900)] == [0.1, 0.5, 0.9]


def test_a_refresh_token_that_ends_first_is_renewed_before_it_does() -> None:
    assert (due_at("a", NOW, NOW + 7200, NOW + 1000) or 0.0) < NOW + 851


@pytest.mark.parametrize("expires_at", [None, NOW + 299])
def test_tokens_of_unknown_or_short_life_are_renewed_on_demand_only(expires_at: float | None) -> None:
    assert due_at("a", NOW, expires_at, None) is None


def test_a_failed_renewal_is_due_again_later_each_time_and_as_the_provider_says() -> None:
    assert [again_in(ErrorClass.TRANSIENT, failures, None) for failures in (0, 1, 2, 50)] == [30, 60, 120, 3600]
    assert again_in(ErrorClass.TRANSIENT, 5, 120.0) == 120
    assert again_in(ErrorClass.CONFIGURATION, 0, None) == 3600


def test_ten_thousand_tokens_that_expire_at_the_same_instant_are_due_evenly_over_the_window() -> None:
    """Row 12 of the cases for a reviewer: a bulk import."""
    due = [due_at(f"{number:032x}", NOW, NOW + 3600, None) or 0.0 for number in range(10_000)]
    per_minute = Counter(int((instant - NOW - 0.70 * 3600) / 60) for instant in due)
    assert sorted(per_minute) == list(range(9))
    assert all(0.9 * 10_000 / 9 < count < 1.1 * 10_000 / 9 for count in per_minute.values())


def test_an_idle_refresh_token_is_used_in_time_though_the_access_token_lives_longer_shorter_or_nobody_knows() -> None:
    lives = [NOW + 60 * DAY, NOW + 60, None]
    assert all(0.69 * DAY < (due_at("a", NOW, each, None, DAY) or 0.0) - NOW < 0.86 * DAY for each in lives)


@pytest.mark.parametrize(
    ("keep_alive", "expires_at", "refreshable", "kept"),
    [(None, None, True, DAY), (None, NOW, True, None), (3600.0, NOW, True, 3600.0), (3600.0, None, False, None)],
)
def test_only_refresh_tokens_are_kept_alive(
    keep_alive: float | None, expires_at: float | None, refreshable: bool, kept: float | None
) -> None:
    assert kept_alive(keep_alive, expires_at, refreshable=refreshable) == kept


def test_warnings_come_a_week_and_a_day_ahead_and_never_for_what_lives_shorter() -> None:
    ends = NOW + 30 * DAY
    assert warn_at(NOW, ends) == ends - 7 * DAY
    assert warn_at(ends - 6 * DAY, ends) == ends - DAY
    assert warn_at(ends - DAY, ends) is None
    assert warn_at(NOW, None) is None


def test_a_refresh_token_that_every_use_prolongs_is_never_warned_of_while_it_is_used() -> None:
    assert all((warn_at(now, now + 30 * DAY) or 0.0) > now + 20 * DAY for now in (NOW, NOW + DAY, NOW + 365 * DAY))


def test_a_host_is_left_alone_after_five_failures_and_longer_each_time_up_to_ten_minutes() -> None:
    assert [shut_for(failures) for failures in (1, 4, 5, 6, 9, 10, 5000)] == [None, None, 30, 60, 480, 600, 600]


def test_what_is_due_is_renewed_unless_somebody_does_so_or_its_grant_is_dead() -> None:
    due = dataclasses.replace(FRESH, refresh_at=NOW)
    assert is_due(due)
    assert not is_due(dataclasses.replace(due, refresh_at=NOW + 1))
    assert not is_due(dataclasses.replace(due, refresh_at=None))
    assert not is_due(leased(due))
    assert not is_due(dead(due))


@pytest.mark.parametrize(
    ("issued_at", "expires_at", "due", "only"),
    [
        (NOW, NOW + 299, None, True),
        (NOW, NOW + 299, NOW + 60_000, False),
        (NOW, NOW + 300, None, False),
        (NOW, None, None, False),
        (None, None, None, False),
        (NOW, 0.0, None, False),
    ],
)
def test_a_short_life_alone_keeps_a_token_out_of_the_sweep(
    issued_at: float | None, expires_at: float | None, due: float | None, only: bool
) -> None:
    assert on_demand_only(issued_at, expires_at, due) is only

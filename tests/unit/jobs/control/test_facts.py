"""facts: when the next verification runs, and how many of them a month has."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.jobs.control.facts import Schedule

CREATED = datetime(2026, 11, 1, 12, tzinfo=UTC)


def schedule(expression: str, *, is_enabled: bool = True) -> Schedule:
    return Schedule(expression, CREATED, is_enabled)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("rate(1 day)", timedelta(0), timedelta(days=1)),
        ("rate(1 day)", timedelta(days=3, hours=1), timedelta(days=4)),
        ("rate(6 hours)", timedelta(hours=6), timedelta(hours=12)),
        ("rate(30 minutes)", timedelta(minutes=29), timedelta(minutes=30)),
    ],
)
def test_a_rate_runs_after_each_interval(expression: str, after: timedelta, expected: timedelta) -> None:
    assert schedule(expression).next_after(CREATED + after) == CREATED + expected


@given(minutes=st.integers(1, 100_000), passed=st.integers(0, 10**8))
def test_the_next_run_of_a_rate_is_within_one_interval(minutes: int, passed: int) -> None:
    now = CREATED + timedelta(seconds=passed)

    at = schedule(f"rate({minutes} minutes)").next_after(now)

    assert at is not None
    assert now < at <= now + timedelta(minutes=minutes)
    assert (at - CREATED) % timedelta(minutes=minutes) == timedelta(0)


def test_a_time_that_has_passed_does_not_come_again() -> None:
    once = schedule("at(2026-12-01T08:00:00)")

    assert once.next_after(CREATED) == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert once.next_after(datetime(2026, 12, 1, 8, tzinfo=UTC)) is None


@pytest.mark.parametrize("expression", ["cron(0 3 * * ? *)", "rate(0 days)", "none"])
def test_another_expression_gives_no_time_and_no_cost(expression: str) -> None:
    assert schedule(expression).next_after(CREATED) is None
    assert schedule(expression).dollars_a_month(1.0) is None


@pytest.mark.parametrize(
    ("expression", "has_unknown_times"),
    [("cron(0 3 * * ? *)", True), ("rate(1 day)", False), ("at(2026-12-01T08:00:00)", False)],
)
def test_the_times_of_cron_are_unknown(expression: str, has_unknown_times: bool) -> None:
    assert schedule(expression).has_unknown_times == has_unknown_times
    assert not schedule(expression, is_enabled=False).has_unknown_times


def test_a_schedule_that_is_off_does_not_run() -> None:
    off = schedule("rate(1 day)", is_enabled=False)

    assert off.next_after(CREATED) is None
    assert off.dollars_a_month(1.0) is None


def test_a_month_has_thirty_days() -> None:
    assert schedule("rate(1 day)").dollars_a_month(0.5) == pytest.approx(15.0)
    assert schedule("rate(12 hours)").dollars_a_month(0.5) == pytest.approx(30.0)

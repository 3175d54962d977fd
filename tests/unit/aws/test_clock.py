"""clock: a clock that cannot be set, and AWS's time as responses show it."""

import re
import time
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from ddbreplica.aws.clock import Clock, ticking, time_after
from ddbreplica.errors import TaskError
from tests.support.memory_state import ManualClock


def test_ticks_do_not_follow_the_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ticking()
    monkeypatch.setattr(time, "time", lambda: 0.0)

    assert before <= ticking() <= before + 60


def test_awss_time_is_unknown_before_the_first_response() -> None:
    clock = Clock()
    clock.observe(None, sent_at=0)
    clock.observe("yesterday", sent_at=0)

    assert (clock.now, clock.ahead) == (None, None)
    assert Clock(local=lambda: datetime(2026, 1, 1, tzinfo=UTC)).moment == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("ahead_by", [-5000.0, 0.0, 200.0])
def test_awss_time_continues_from_the_latest_response_when_the_local_clock_is_set(ahead_by: float) -> None:
    clock = ManualClock(aws=1_764_288_000, ahead_by=ahead_by)
    clock.respond()
    clock.pass_by(100)
    clock.respond()
    clock.ahead_by = 77_000
    clock.pass_by(50)

    assert clock.now == 1_764_288_150
    assert clock.moment == datetime(2025, 11, 28, 0, 2, 30, tzinfo=UTC)
    assert clock.ahead == max(0.0, ahead_by)


@pytest.mark.parametrize("ahead", [None, 0.0, 300.0])
def test_a_clock_that_is_not_far_ahead_may_repair(ahead: float | None) -> None:
    clock = Clock()
    if ahead is not None:
        clock.observe(formatdate(1_764_288_000, usegmt=True), sent_at=1_764_288_000 + ahead)

    assert clock.fast is None
    clock.refuse_fast()


def test_a_clock_that_is_far_ahead_may_not_repair() -> None:
    clock = Clock()
    clock.observe(formatdate(1_764_288_000, usegmt=True), sent_at=1_764_291_600)

    with pytest.raises(TaskError) as refused:
        clock.refuse_fast()

    assert refused.value.fact == (
        "the local clock is 3,600 seconds ahead of AWS's clock, and no repair runs if it is more than"
        " 300 seconds ahead."
    )


def test_a_time_of_day_is_rounded_up() -> None:
    shown = re.fullmatch(r"(\d\d):(\d\d) UTC", time_after(90))
    assert shown is not None
    minutes = int(shown[1]) * 60 + int(shown[2])

    assert 1 <= (minutes - int(time.time()) // 60) % 1440 <= 3

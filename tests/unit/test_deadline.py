"""deadline: the time left in an invocation, and the pauses between attempts."""

from ddbreplica.deadline import LONGEST_DELAY, MOST_ATTEMPTS, Deadline
from tests.support.clock import Clock


def test_a_step_that_ends_in_time_is_allowed() -> None:
    deadline = Clock(8.0).deadline()

    assert deadline.allows(8.0)
    assert not deadline.allows(8.001)


def test_delays_grow_up_to_a_limit() -> None:
    clock = Clock(600)

    assert all(clock.deadline().back_off(attempt, then=1) for attempt in (1, 2, 3, 4, 5, 6, 7, 1000))

    assert clock.sleeps == [0.1, 0.2, 0.4, 0.8, 1.6, LONGEST_DELAY, LONGEST_DELAY, LONGEST_DELAY]


def test_jitter_is_between_zero_and_the_whole_delay() -> None:
    chosen: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        chosen.append((low, high))
        return low

    Deadline(lambda: 60, sleep=lambda _: None, jitter=jitter).back_off(1, then=1)

    assert chosen == [(0, 0.1)]


def test_there_is_no_delay_if_no_time_is_left_after_it() -> None:
    clock = Clock(8.05)

    assert not clock.deadline().back_off(1, then=8.0)
    assert clock.sleeps == []


def test_attempts_are_limited_and_have_pauses() -> None:
    clock = Clock(600)

    assert sum(1 for _ in clock.deadline().attempts(then=1)) == MOST_ATTEMPTS
    assert clock.sleeps == [0.1, 0.2, 0.4, 0.8]


def test_attempts_end_when_the_time_is_up() -> None:
    assert list(Clock(7.9).deadline().attempts(then=8)) == []
    assert len(list(Clock(8.15).deadline().attempts(then=8))) == 2


def test_by_default_it_really_sleeps_with_random_jitter() -> None:
    assert Deadline(lambda: 60).back_off(-5, then=1)

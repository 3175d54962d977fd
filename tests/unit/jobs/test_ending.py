"""ending: an invocation ends a minute before its deadline, or when the job is stopped."""

import pytest

from ddbreplica.jobs.ending import LOOK_SECONDS, PAUSE_SECONDS, RESERVED_SECONDS, Ending
from tests.support.clock import Clock


class Stop:
    """A stop marker that counts how often it is looked for."""

    def __init__(self) -> None:
        self.is_there = False
        self.looks = 0

    def __call__(self) -> bool:
        self.looks += 1
        return self.is_there


def test_it_ends_a_minute_before_the_deadline() -> None:
    clock = Clock(RESERVED_SECONDS + 1)
    ending = Ending(clock.deadline(), Stop())

    ending.check()
    clock.pass_by(0.9)
    ending.check()
    clock.pass_by(0.1)

    assert ending.is_over
    assert not ending.was_stopped
    with pytest.raises(KeyboardInterrupt):
        ending.check()


def test_its_end_is_near_half_a_minute_earlier() -> None:
    clock = Clock(RESERVED_SECONDS + PAUSE_SECONDS + 1)
    ending = Ending(clock.deadline(), Stop())

    before = ending.is_near
    clock.pass_by(1)

    assert (before, ending.is_near) == (False, True)
    ending.check()


def test_its_end_is_near_if_the_job_is_stopped() -> None:
    stop = Stop()
    stop.is_there = True

    assert Ending(Clock(900).deadline(), stop).is_near


def test_it_ends_when_the_job_is_stopped_and_stays_so() -> None:
    clock, stop = Clock(900), Stop()
    ending = Ending(clock.deadline(), stop)
    ending.check()

    stop.is_there = True
    clock.pass_by(LOOK_SECONDS)

    with pytest.raises(KeyboardInterrupt):
        ending.check()
    stop.is_there = False
    clock.pass_by(LOOK_SECONDS)
    assert ending.is_over
    assert ending.was_stopped


def test_the_marker_is_looked_for_at_once_and_then_at_intervals() -> None:
    clock, stop = Clock(900), Stop()
    ending = Ending(clock.deadline(), stop)

    for _ in range(10):
        ending.check()
        clock.pass_by(LOOK_SECONDS / 2)

    assert stop.looks == 5


def test_it_does_not_sleep_for_less_than_nothing() -> None:
    """A request that looks for the marker may take until after the end."""
    clock = Clock(RESERVED_SECONDS + 10)

    def slow() -> bool:
        clock.pass_by(20)
        return False

    Ending(clock.deadline(), slow).sleep(4)

    assert clock.sleeps == [0.0]


def test_it_sleeps_no_longer_than_until_its_end() -> None:
    clock = Clock(RESERVED_SECONDS + 10)
    ending = Ending(clock.deadline(), Stop())

    ending.sleep(4)
    ending.sleep(60)
    ending.sleep(60)

    assert clock.sleeps == [4, 6]
    assert ending.is_over

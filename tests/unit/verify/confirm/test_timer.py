"""timer: how a confirmation waits."""

from dataclasses import replace

import pytest

from tests.support.simulated_pair import Clock


@pytest.mark.parametrize(("until", "slept"), [(2.5, [1.0, 1.0, 0.5]), (0.25, [0.25]), (0.0, []), (-1.0, [])])
def test_it_waits_until_a_moment_in_slices_of_a_second(until: float, slept: list[float]) -> None:
    clock = Clock()
    clock.timer.wait(until, is_over=lambda: False)

    assert clock.slept == slept


def test_it_stops_when_the_work_is_over() -> None:
    clock = Clock()
    clock.timer.wait(10.0, is_over=lambda: clock.time >= 2)

    assert clock.slept == [1.0, 1.0]


def test_it_makes_a_call_every_second_of_a_wait() -> None:
    clock = Clock()
    moments: list[float] = []
    clock.timer.wait(2.5, is_over=lambda: False, meanwhile=lambda: moments.append(clock.time))

    assert moments == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("share", "sleeps"), [(0.0, 1), (0.49, 1), (0.5, 5), (1.0, 3)])
def test_a_sleep_that_an_interrupt_ends_is_the_last(share: float, sleeps: int) -> None:
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds * share)

    timer = replace(clock.timer, sleep=sleep)
    timer.wait(2.5, is_over=lambda: len(clock.slept) >= 5)

    assert len(clock.slept) == sleeps

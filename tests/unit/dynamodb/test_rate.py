"""rate: the limit of capacity units per second."""

import threading

import pytest

from ddbreplica.dynamodb.rate import RECOVERY_SECONDS, Rate, YieldingRate


class Watch:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def rate(self, per_second: float | None) -> Rate:
        return Rate(per_second, clock=lambda: self.now, sleep=self.sleep)


def test_units_are_limited_from_the_first_one_on() -> None:
    watch = Watch()
    rate = watch.rate(5)

    ends = []
    for _ in range(10):
        rate.take(1)
        ends.append(watch.now)

    assert ends == pytest.approx([100.2, 100.4, 100.6, 100.8, 101, 101.2, 101.4, 101.6, 101.8, 102])


def test_a_pause_saves_the_units_of_at_most_one_second() -> None:
    watch = Watch()
    rate = watch.rate(10)

    watch.now += 3600
    rate.take(10)
    assert watch.now == 3700

    rate.take(10)
    assert watch.now == 3701


def test_more_units_than_those_of_a_second_are_waited_for_in_full() -> None:
    watch = Watch()
    rate = watch.rate(5)

    rate.take(400)

    assert watch.now == 180


def test_without_a_limit_there_is_no_wait() -> None:
    watch = Watch()

    watch.rate(None).take(1_000_000)

    assert watch.now == 100


def test_threads_share_the_limit() -> None:
    slept: list[float] = []
    rate = Rate(10, clock=lambda: 0.0, sleep=slept.append)

    threads = [threading.Thread(target=rate.take, args=(5,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(slept) == pytest.approx([0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4])


def test_a_thread_can_reserve_units_while_another_one_waits() -> None:
    both_asleep = threading.Barrier(2, timeout=10)

    def sleep(_seconds: float) -> None:
        both_asleep.wait()

    rate = Rate(1, clock=lambda: 0.0, sleep=sleep)
    other = threading.Thread(target=rate.take, args=(1,))
    other.start()
    rate.take(1)
    other.join()

    assert not both_asleep.broken


class TestYielding:
    def of(self, watch: Watch, per_second: float = 100) -> YieldingRate:
        return YieldingRate(per_second, clock=lambda: watch.now, sleep=watch.sleep)

    def seconds(self, watch: Watch, rate: Rate, units: float) -> float:
        """Return how long these units take."""
        before = watch.now
        rate.take(units)
        return watch.now - before

    def test_without_throttling_it_is_the_limit_itself(self) -> None:
        watch = Watch()

        assert self.seconds(watch, self.of(watch), 1000) == pytest.approx(10)

    def test_it_is_halved_when_the_table_throttles(self) -> None:
        watch = Watch()
        rate = self.of(watch)
        for _ in range(10):  # one wave of throttling
            rate.throttled()

        assert self.seconds(watch, rate, 50) == pytest.approx(1)
        rate.throttled()
        assert self.seconds(watch, rate, 25) == pytest.approx(1, rel=0.05)

    def test_it_comes_back_slowly(self) -> None:
        watch = Watch()
        rate = self.of(watch)
        rate.throttled()
        watch.now += 2
        rate.throttled()
        rate.take(0)
        assert rate.per_second == pytest.approx(25, rel=0.05)

        watch.now += RECOVERY_SECONDS
        rate.take(0)
        assert rate.per_second == pytest.approx(50, rel=0.05)
        watch.now += RECOVERY_SECONDS * 100
        rate.take(0)
        assert rate.per_second == 100

    @pytest.mark.parametrize(("limit", "least"), [(100, 1.0), (0.5, 0.5)])
    def test_it_never_stands_still(self, limit: float, least: float) -> None:
        watch = Watch()
        rate = self.of(watch, limit)
        for _ in range(100):
            watch.now += 1
            rate.throttled()
        rate.take(0)

        assert rate.per_second == pytest.approx(least, rel=0.05)

    def test_any_other_rate_stays_as_it_is(self) -> None:
        watch = Watch()
        rate = watch.rate(10)
        rate.throttled()

        assert self.seconds(watch, rate, 100) == pytest.approx(10)

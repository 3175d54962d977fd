"""plan: how many keys are watched, how often, and for how long."""

import math

import pytest

from ddbreplica.verify.confirm.plan import (
    Plan,
    Rates,
    by_looks,
    looks_alone,
    most_by_looks,
    most_with_stream,
    with_stream,
)

UNLIMITED = Rates(None, None)


@pytest.mark.parametrize(
    ("rates", "seconds"),
    [
        (UNLIMITED, 0.0),
        (Rates(10.0, None), 0.2),
        (Rates(None, 10.0), 0.1),
        (Rates(10.0, 10.0), 0.2),
        (Rates(10.0, 2.0), 0.5),
    ],
)
def test_a_look_reads_the_source_twice_and_the_replica_once(rates: Rates, seconds: float) -> None:
    assert rates.seconds_of_a_key == pytest.approx(seconds)


def test_the_rates_say_how_many_keys_or_looks_fit_in_a_time() -> None:
    assert Rates(10.0, None).keys_in(300.0, looks=10) == pytest.approx(150.0)
    assert Rates(10.0, None).looks_in(300.0, keys=10) == pytest.approx(150.0)
    assert UNLIMITED.keys_in(300.0, looks=10) == math.inf
    assert UNLIMITED.looks_in(300.0, keys=10) == math.inf


def test_the_mean_pause_divides_the_watch_between_its_looks() -> None:
    assert Plan(looks=8, seconds=14.0).pause == 2.0


@pytest.mark.parametrize(
    ("seconds", "keys", "rates", "looks"),
    [
        (5.0, 1, UNLIMITED, 8),
        (5.0, 10_000, UNLIMITED, 8),
        (300.0, 1, UNLIMITED, 120),
        (299.0, 1, UNLIMITED, 119),
        (300.0, 1_000, UNLIMITED, 80),  # 80,000 looks together
        (300.0, 10_000, UNLIMITED, 8),
        (300.0, 100, Rates(20.0, None), 30),  # what the rate allows
        (300.0, 100, Rates(1.0, None), 8),
    ],
)
def test_a_watch_has_eight_looks_or_more(seconds: float, keys: int, rates: Rates, looks: int) -> None:
    assert with_stream(seconds, keys=keys, rates=rates) == Plan(looks, seconds)


@pytest.mark.parametrize(
    ("seconds", "rates", "longer"),
    [
        (300.0, UNLIMITED, 300.0),
        (5.0, UNLIMITED, 25.0),  # half a second between two looks
        (5.0, Rates(10.0, None), 1000.0),  # as long as the reads take
    ],
)
def test_without_the_stream_a_watch_is_long_enough_for_random_moments(
    seconds: float, rates: Rates, longer: float
) -> None:
    assert by_looks(seconds, keys=100, looks=50, rates=rates) == Plan(50, longer)


@pytest.mark.parametrize(
    ("rounds", "suspects", "looks"), [(1, 1, 36), (3, 1, 38), (3, 100, 50), (3, 10_000, 61), (1, 10_000, 58)]
)
def test_the_number_of_looks_without_the_stream_grows_with_the_suspects(
    rounds: int, suspects: int, looks: int
) -> None:
    assert looks_alone(rounds=rounds, suspects=suspects) == looks
    # One more look would not have been necessary, one less would not have been enough.
    assert (2 / 3) ** (looks - 1) * rounds * suspects <= 1e-6 < (2 / 3) ** (looks - 2) * rounds * suspects


@pytest.mark.parametrize(
    ("most", "rates", "keys"),
    [
        (10_000, UNLIMITED, 10_000),
        (10_000, Rates(100.0, None), 1_875),  # 8 looks in 300 seconds
        (10_000, Rates(None, 10.0), 375),
        (10_000, Rates(2.5, None), 100),
        (50, Rates(2.5, None), 50),
    ],
)
def test_at_a_low_rate_fewer_keys_are_watched(most: int, rates: Rates, keys: int) -> None:
    assert most_with_stream(most, rates) == keys


@pytest.mark.parametrize(
    ("rates", "keys"),
    [(UNLIMITED, 100), (Rates(1000.0, None), 100), (Rates(10.0, None), 30), (Rates(2.5, None), 10)],
)
def test_without_the_stream_a_hundred_keys_are_watched_or_fewer(rates: Rates, keys: int) -> None:
    assert most_by_looks(100, 50, rates) == keys


@pytest.mark.parametrize(("most", "keys"), [(1, 1), (5, 5), (20, 20), (50, 30)])
def test_without_the_stream_no_more_keys_than_the_share_are_watched(most: int, keys: int) -> None:
    assert most_by_looks(most, 50, Rates(10.0, None)) == keys

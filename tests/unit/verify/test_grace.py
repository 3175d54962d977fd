"""grace: the grace period for a replica with a lag."""

import pytest

from ddbreplica.verify.grace import grace, is_longer


@pytest.mark.parametrize(
    ("lag", "seconds"),
    [(None, 5.0), (0.0, 5.0), (2.0, 5.0), (3.0, 6.0), (60.0, 120.0), (150.0, 300.0), (151.0, 5.0)],
)
def test_the_grace_period_is_twice_the_lag_within_bounds(lag: float | None, seconds: float) -> None:
    assert grace(lag) == seconds


@pytest.mark.parametrize(
    ("seconds", "lag", "is_it"), [(5.0, None, True), (5.0, 4.9, True), (5.0, 5.0, False), (0.0, 0.0, False)]
)
def test_a_grace_period_is_enough_if_it_is_longer_than_the_lag(
    seconds: float, lag: float | None, is_it: bool
) -> None:
    assert is_longer(seconds, lag) == is_it

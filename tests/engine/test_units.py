"""The read units that the commands take, summed from the capacity that DynamoDB Local reports."""

from collections.abc import Callable

import pytest

from benchmarks.operator.trials import Service
from benchmarks.operator.units import SIZE, goals, measure
from ddbreplica.backfill.estimate import Estimate

ITEMS = 4000


def test_the_commands_take_no_more_read_units_than_their_goals(
    endpoint: str, tell: Callable[[str], None]
) -> None:
    figures = list(measure(Service("DynamoDB Local", endpoint), items=ITEMS, say=str))

    for goal in goals(figures):
        tell(f"{goal.title}: {goal.value:.3f}")
        assert goal.is_reached

    quiet, *_ = figures
    assert Estimate(items=ITEMS, bytes=ITEMS * SIZE, indexes=0).read_units == pytest.approx(
        quiet.each * ITEMS, rel=0.05
    )

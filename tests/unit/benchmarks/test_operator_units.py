"""The goals of the read units that the commands take."""

import pytest

from benchmarks.goals import Goal
from benchmarks.operator.units import CHANGING, QUIET, Units, goals


def test_each_measured_case_has_its_goal() -> None:
    figures = [
        Units("backfill", QUIET, 4000, 0.25),
        Units("backfill", CHANGING, 4000, 0.5),
        Units("verify", QUIET, 4000, 0.23),
        Units("verify --eventually-consistent", QUIET, 4000, 0.12),
    ]

    assert list(goals(figures)) == [
        Goal(
            "backfill, quiet tables: read units per item of 460 bytes",
            "≤",
            0.3,
            0.25,
            binding=True,
        ),
        Goal(
            "backfill, 30 % of the items changed meanwhile: read units per item of 460 bytes",
            "≤",
            0.7,
            0.5,
            binding=True,
        ),
        Goal("verify, quiet tables: read units per item of 460 bytes", "≤", 0.25, 0.23, binding=True),
        Goal(
            "verify --eventually-consistent, quiet tables: read units per item of 460 bytes",
            "≤",
            0.13,
            0.12,
            binding=True,
        ),
    ]


@pytest.mark.parametrize(("each", "is_reached"), [(0.3, True), (0.31, False)])
def test_a_goal_is_the_most_that_an_item_may_take(each: float, *, is_reached: bool) -> None:
    (goal,) = goals([Units("backfill", QUIET, 100, each)])

    assert goal.is_reached == is_reached

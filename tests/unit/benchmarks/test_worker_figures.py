"""Runs of workers and of the commands beside them → ratios and goals."""

from collections.abc import Sequence

import pytest

from benchmarks.figures import Spread
from benchmarks.goals import Goal
from benchmarks.operator.programs import Run
from benchmarks.workers.figures import Compared, Overhead, Results, Segment

MB = 2**20
ITEMS = 200_000


def runs(*seconds: float, peak: int = 100 * MB) -> Sequence[Run]:
    return [Run(each, each, peak) for each in seconds]


def results(*, writes: int = 110, items: int = ITEMS, peak: int = 100 * MB) -> Results:
    compared = [
        Compared("verify", items, runs(2, peak=peak), runs(1)),
        Compared("backfill", items // 10, runs(2), runs(1)),
    ]
    overhead = Overhead(20_000, 8, [9.0, 8.0, 4.0], [24.0, 24.0, 24.0])
    return Results({"rounds": 1}, compared, Segment(items, peak, writes), overhead)


def goal(found: Results, beginning: str) -> Goal:
    (one,) = (each for each in found.goals if each.title.startswith(beginning))
    return one


def test_a_ratio_is_taken_within_each_round() -> None:
    # Of the medians it would be 1: the busy machine of the second round slowed both.
    each = Compared("verify", 100, runs(2, 20, 4), runs(1, 10, 4))

    assert each.ratio == Spread(median=0.5, low=0.5, high=0.75)


def test_the_overhead_is_what_a_job_takes_beside_its_share_of_the_work_in_the_same_round() -> None:
    assert results().overhead.seconds == Spread(median=5.0, low=3.0, high=5.5)


def test_the_goals_have_the_measured_values() -> None:
    found = results()

    assert [(each.limit, each.value) for each in found.goals[:6]] == [
        (0.85, 0.5),
        (0.85, 0.5),
        (512, 100),
        (512, 100),
        (600, 550),
        (5, 5),
    ]


@pytest.mark.parametrize(
    ("missed", "beginning"),
    [
        (results(peak=513 * MB), "verify, DynamoDB Local: peak MB"),
        (results(peak=513 * MB), "backfill, DynamoDB Local: peak MB"),
        (results(writes=121), "backfill: objects written"),
    ],
)
def test_a_run_fails_that_misses_the_memory_or_the_writes(missed: Results, beginning: str) -> None:
    found = goal(missed, beginning)

    assert found.binding
    assert not found.is_reached


def test_a_table_of_few_items_says_nothing_about_the_writes() -> None:
    assert not goal(results(items=600), "backfill: objects written").binding


def test_the_formula_has_a_goal_for_the_time_and_the_cost_of_both_kinds_of_reads() -> None:
    computed = [each for each in results().goals if ", formula:" in each.title]

    assert [(each.limit, each.is_reached) for each in computed] == [
        (1, True),
        (50, True),
        (1.83, True),
        (100, True),
    ]


def test_the_stored_results_have_no_single_runs() -> None:
    stored = results().as_json()

    assert [(each["what"], each["who"], each["rate"]["median"]) for each in stored["figures"]] == [
        ("verify", "worker", 100_000),
        ("verify", "command", 200_000),
        ("backfill", "worker", 10_000),
        ("backfill", "command", 20_000),
    ]
    assert stored["goals"][0]["reached"] is False

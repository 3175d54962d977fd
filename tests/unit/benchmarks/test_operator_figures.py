"""Runs of the commands and of the loops beside them → ratios and goals."""

from dataclasses import replace

import pytest

from benchmarks.figures import Spread
from benchmarks.goals import Goal
from benchmarks.operator.figures import Case, cpu, goals, peak, rate, share
from benchmarks.operator.programs import Run

OURS = Case("a service", "verify", "ours", 100)
LOOP = Case("a service", "verify", "scans", 100)
MB = 2**20


def run(seconds: float = 1.0, *, cpu: float = 1.0, peak: int = 50 * MB) -> Run:
    return Run(seconds, cpu, peak)


def test_a_rate_and_its_cpu_are_by_the_item() -> None:
    runs = {OURS: [run(0.5, cpu=0.2), run(1.0, cpu=0.4), run(2.0, cpu=0.6)]}

    assert rate(runs, OURS) == Spread(median=100, low=75, high=150)
    assert cpu(runs, OURS) == Spread(median=4000, low=3000, high=5000)


def test_memory_is_that_of_the_median_run() -> None:
    assert peak({OURS: [run(peak=3), run(peak=90), run(peak=4)]}, OURS) == 4


def test_a_share_is_taken_within_each_round() -> None:
    # Of the medians it would be 1: the busy machine of the second round slowed both.
    runs = {OURS: [run(2), run(20), run(4)], LOOP: [run(1), run(10), run(4)]}

    assert share(runs, LOOP) == Spread(median=0.5, low=0.5, high=0.75)


def test_a_command_is_to_reach_a_share_of_the_loops() -> None:
    cases = [Case("a service", "verify", name, 100) for name in ("ours", "scans", "wire-scans")]

    found = goals({case: [run(2 if case == OURS else 1)] for case in cases})

    assert found == (
        Goal("verify, a service: throughput ÷ two scans, boto3", "≥", 0.6, 0.5),
        Goal("verify, a service: throughput ÷ two scans, DynamoDB JSON", "≥", 0.85, 0.5),
    )


def test_a_share_of_a_loop_is_taken_with_the_most_items() -> None:
    loop, larger, larger_loop = (
        replace(OURS, contestant="wire-scans"),
        replace(OURS, items=2000),
        replace(OURS, contestant="wire-scans", items=2000),
    )
    other = replace(loop, service="another")
    runs = {OURS: [run(4)], loop: [run(1)], larger: [run(10)], larger_loop: [run(9)]}

    found = goals({**runs, replace(other, contestant="ours"): [run(1)], other: [run(1)]})

    assert [(goal.title, goal.value) for goal in found if "throughput" in goal.title] == [
        ("verify, a service: throughput ÷ two scans, DynamoDB JSON", 0.9),
        ("verify, another: throughput ÷ two scans, DynamoDB JSON", 1),
    ]


def test_a_repair_may_take_twice_as_long_as_a_backfill() -> None:
    repair, backfill = (Case("a service", "repair", name, 100) for name in ("ours", "backfill"))

    (goal,) = goals({repair: [run(2)], backfill: [run(1)]})

    assert (goal.limit, goal.value, goal.is_reached) == (0.5, 0.5, True)


@pytest.mark.parametrize(("seconds", "is_reached"), [(180, True), (181, False)])
def test_the_workshops_rows_are_to_be_compared_in_three_minutes(seconds: float, *, is_reached: bool) -> None:
    (goal,) = goals({Case("a service", "workshop", "ours", 2000): [run(seconds)]})

    assert goal.title == "workshop, a service: seconds for 2,000 equal rows"
    assert (goal.is_reached, goal.binding) == (is_reached, True)


def test_loading_is_to_be_ten_times_as_fast_as_puts() -> None:
    ours, puts = Case("a table", "load", "ours", 100), Case("a table", "load", "boto3", 100)

    (goal,) = goals({ours: [run(1)], puts: [run(12)]})

    assert (goal.limit, goal.value, goal.is_reached) == (10, 12, True)


@pytest.mark.parametrize(("megabytes", "is_reached"), [(60, True), (61, False)])
def test_memory_may_not_grow_with_the_table(megabytes: int, *, is_reached: bool) -> None:
    larger = Case("a service", "verify", "ours", 2000)

    (goal,) = goals({OURS: [run(peak=50 * MB)], larger: [run(peak=megabytes * MB)]})

    assert goal.title == "verify, a service: peak MB at 2,000 items − at 100"
    assert (goal.is_reached, goal.binding) == (is_reached, True)


def test_memory_is_compared_on_one_service_and_of_one_command() -> None:
    others = (Case("another", "verify", "ours", 2000), Case("a service", "backfill", "ours", 2000))

    assert goals({OURS: [run()], **{other: [run()] for other in others}}) == ()

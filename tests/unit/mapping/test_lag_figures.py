"""lag_figures: a lag is known only if every minute says so. Unknown is never 0."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddbreplica.mapping.lag_figures import LagFigures, figures_of, minutes_of, problem_of
from ddbreplica.mapping.metrics import Series
from tests.support.facts import EARLIER_STREAM, MAPPING, STREAM

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTES = [NOON, NOON + timedelta(minutes=1)]


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


NO_AGE = LagFigures(unknown="CloudWatch has no IteratorAge of the function replicator for 12:01 UTC")


# Minutes


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (at(0.5), at(0.9), [0]),
        (at(0), at(1), [0]),
        (at(0.5), at(1), [0]),
        (at(0.5), at(1.001), [0, 1]),
        (at(0.99), at(3), [0, 1, 2]),
        (at(1), at(1), [1]),
    ],
)
def test_minutes_cover_a_time(begin: datetime, end: datetime, expected: list[int]) -> None:
    assert minutes_of(begin, end) == [at(minute) for minute in expected]


# The state of the mapping


def test_one_enabled_mapping_on_the_enabled_stream_is_no_problem() -> None:
    assert problem_of([MAPPING], stream=STREAM) is None
    # One on an earlier stream delivers nothing, and does no harm.
    assert problem_of([replace(MAPPING, stream_arn=EARLIER_STREAM), MAPPING], stream=STREAM) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"state": "Disabled"}, "the event source mapping 11-22 is Disabled"),
        ({"state": "Enabling"}, "the event source mapping 11-22 is Enabling"),
        (
            {"last_result": "PROBLEM: Function call failed"},
            "the last processing result of the event source mapping 11-22 is PROBLEM: Function call failed",
        ),
        (
            {"stream_arn": EARLIER_STREAM},
            "the event source mapping 11-22 reads an earlier stream of the source",
        ),
    ],
)
def test_the_state_of_a_mapping_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem_of([replace(MAPPING, **changes)], stream=STREAM) == problem


def test_a_missing_mapping_is_named() -> None:
    assert problem_of([], stream=STREAM) == (
        "no event source mapping of a function with the tag ddbreplica replicates the source to the replica"
    )


def test_two_mappings_are_named() -> None:
    assert problem_of([MAPPING, replace(MAPPING, uuid="33")], stream=STREAM) == (
        "2 event source mappings replicate the source to the replica: 11-22, 33"
    )


def test_a_disabled_stream_is_named() -> None:
    assert problem_of([MAPPING], stream=None) == "the source has no enabled stream"


# The figures


def series(**values: Sequence[tuple[float, float]]) -> dict[str, Series]:
    """Return values by minute: those of a mapping that received records in both minutes, with changes."""
    busy: dict[str, Sequence[tuple[float, float]]] = {
        "IteratorAge": [(0, 400.0), (1, 300.0)],
        "Duration": [(0, 100.0), (1, 250.0)],
        "Throttles": [(0, 0.0), (1, 0.0)],
        "PolledEventCount": [(0, 7.0), (1, 8.0)],
        "FilteredOutEventCount": [],
        "FailedInvokeEventCount": [(0, 0.0), (1, 0.0)],
    }
    return {
        name: [(at(minute), value) for minute, value in points] for name, points in (busy | values).items()
    }


def test_the_lag_is_the_largest_age_and_the_longest_duration() -> None:
    assert figures_of(MAPPING, series(), MINUTES) == LagFigures(seconds=0.65)


def test_the_batching_window_is_part_of_the_lag() -> None:
    mapping = replace(MAPPING, settings={"MaximumBatchingWindowInSeconds": 5})

    assert figures_of(mapping, series(), MINUTES) == LagFigures(seconds=5.65)


def test_an_age_of_zero_is_a_lag_of_zero_seconds() -> None:
    zero = [(0.0, 0.0), (1.0, 0.0)]

    assert figures_of(MAPPING, series(IteratorAge=zero, Duration=zero), MINUTES) == LagFigures(seconds=0.0)


def test_other_minutes_do_not_count() -> None:
    values = series(
        IteratorAge=[(-1, 9_000), (0, 400), (1, 300), (2, 9_000)],
        Duration=[(-1, 9_000), (0, 100), (2, 9_000)],
        Throttles=[(-1, 1), (2, 1)],
        FailedInvokeEventCount=[(-1, 1), (2, 1)],
    )

    assert figures_of(MAPPING, values, MINUTES) == LagFigures(seconds=0.5)


def test_a_throttled_function_is_named() -> None:
    assert figures_of(MAPPING, series(Throttles=[(1, 1)]), MINUTES) == LagFigures(
        problem="Lambda throttled the function replicator"
    )


def test_records_that_the_function_did_not_process_are_named() -> None:
    failed = series(FailedInvokeEventCount=[(0, 1000), (1, 1)])

    assert figures_of(MAPPING, failed, MINUTES) == LagFigures(
        problem="the function replicator did not process 1,001 records"
    )


def test_a_mapping_that_received_nothing_is_idle() -> None:
    idle = series(IteratorAge=[], Duration=[], PolledEventCount=[(0, 0), (1, 0)])

    assert figures_of(MAPPING, idle, MINUTES) == LagFigures(is_idle=True)


def test_records_that_the_filter_leaves_out_are_none() -> None:
    filtered = series(IteratorAge=[], Duration=[], FilteredOutEventCount=[(0, 7), (1, 8)])

    assert figures_of(MAPPING, filtered, MINUTES) == LagFigures(is_idle=True)


def test_a_minute_in_which_only_some_records_are_left_out_is_not_idle() -> None:
    filtered = series(IteratorAge=[(0, 400)], FilteredOutEventCount=[(0, 7), (1, 7)])

    assert figures_of(MAPPING, filtered, MINUTES) == NO_AGE


def test_a_problem_comes_before_idleness() -> None:
    idle = series(
        IteratorAge=[],
        Duration=[],
        PolledEventCount=[(0, 0), (1, 0)],
        FailedInvokeEventCount=[(0, 2)],
    )

    assert figures_of(MAPPING, idle, MINUTES).problem is not None


def test_a_function_that_still_works_on_earlier_records_is_not_idle() -> None:
    working = series(PolledEventCount=[(0, 0), (1, 0)], IteratorAge=[(1, 90_000)], Duration=[(1, 1000)])

    assert figures_of(MAPPING, working, MINUTES) == LagFigures(seconds=91.0)


def test_a_minute_that_received_nothing_needs_no_age() -> None:
    paused = series(PolledEventCount=[(0, 7), (1, 0)], IteratorAge=[(0, 400)], Duration=[(0, 100)])

    assert figures_of(MAPPING, paused, MINUTES) == LagFigures(seconds=0.5)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(series(IteratorAge=[(0, 400)]), id="a minute with records, and no invocation yet"),
        pytest.param(
            series(IteratorAge=[(0, 400)], PolledEventCount=[(0, 7)]), id="a minute that has not arrived"
        ),
        pytest.param(
            series(IteratorAge=[], Duration=[], PolledEventCount=[(0, 0)]), id="only one minute was idle"
        ),
    ],
)
def test_a_minute_without_an_age_is_unknown(values: dict[str, Series]) -> None:
    assert figures_of(MAPPING, values, MINUTES) == NO_AGE


def test_without_any_metric_the_lag_is_unknown() -> None:
    nothing = dict.fromkeys(series(), ())

    assert figures_of(MAPPING, nothing, MINUTES) == LagFigures(
        unknown="CloudWatch has no IteratorAge of the function replicator for 12:00 UTC"
    )


def test_a_mapping_without_event_source_mapping_metrics_is_never_idle() -> None:
    mapping = replace(MAPPING, counts_events=False)
    idle = series(IteratorAge=[(0, 400)], PolledEventCount=[(0, 0), (1, 0)])

    assert figures_of(mapping, idle, MINUTES) == NO_AGE
    assert figures_of(mapping, series(PolledEventCount=[]), MINUTES) == LagFigures(seconds=0.65)


def test_without_a_duration_the_lag_is_unknown() -> None:
    assert figures_of(MAPPING, series(Duration=[]), MINUTES) == LagFigures(
        unknown="CloudWatch has no Duration of the function replicator for 12:00 UTC"
    )

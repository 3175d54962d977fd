"""plan: how a job is cut, and which changes end it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ddbreplica.errors import JobEndedError
from ddbreplica.jobs.plan import MAX_SEGMENTS, Conditions, Plan, segment_lines_of, segments_of
from ddbreplica.jobs.planning import UNKNOWN_UNITS, read_budget
from tests.support.redriven import described

PLAN = Plan(
    what="verify",
    function="replicator",
    began="2026-11-29T18:00:00.000001+00:00",
    options={"limit": 10},
    pair={"source": "a of then", "replica": "b of then"},
    patterns=["p"],
    is_archive=False,
    segments=7,
    lines=3,
    workers=3,
    read_rates=[30.0, 60.0],
    write_rate=0.0,
    stream=None,
    transform=None,
    function_updated=None,
    estimate={"read_units": 5},
)


NOW = Conditions(PLAN.pair, ("p",), is_archive=False, stream=None, transform=None, function_updated="now")


@pytest.mark.parametrize(
    ("items", "segments"),
    [
        (0, 1),
        (1, 1),
        (200_000, 1),
        (200_001, 2),
        (20_000_000, 100),
        (2_000_000_000, 10_000),
        (10**12, 10_000),
    ],
)
def test_a_segment_has_some_200_000_items(items: int, segments: int) -> None:
    assert segments_of(items) == segments


@pytest.mark.parametrize(
    ("segments", "concurrency", "unreserved", "lines", "workers"),
    [
        (100, 10, 1000, 100, 10),
        (100, 10, 20, 100, 10),
        (100, 10, 19, 9, 9),
        (3, 10, 19, 3, 3),
        (3, 10, 1000, 3, 3),
        (100, 10, 1, 1, 1),
        (100, 10, 0, 1, 1),
        (10_000, 1000, 900, 450, 450),
    ],
)
def test_the_workers_take_at_most_half_of_the_unreserved_concurrency(
    segments: int, concurrency: int, unreserved: int, lines: int, workers: int
) -> None:
    assert segment_lines_of(segments, concurrency=concurrency, unreserved=unreserved) == (lines, workers)


@pytest.mark.parametrize(("segments", "lines"), [(1, 1), (7, 3), (7, 7), (100, 9)])
def test_each_segment_is_in_one_line(segments: int, lines: int) -> None:
    found = [each["segments"] for each in replace(PLAN, segments=segments, lines=lines).segment_lines]

    assert len(found) == lines
    assert sorted(number for line in found for number in line) == list(range(segments))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_a_plan_is_read_as_it_was_stored() -> None:
    read = Plan.read(PLAN.body)

    assert read == PLAN
    assert read.digest == PLAN.digest


def test_plans_that_differ_anywhere_have_different_digests() -> None:
    changed: list[dict[str, Any]] = [{"began": "x"}, {"segments": 8}, {"options": {}}, {"pair": {}}]

    assert len({PLAN.digest, *(replace(PLAN, **change).digest for change in changed)}) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"segments": 0, "lines": 0},
        {"segments": MAX_SEGMENTS + 1},
        {"lines": 8},
        {"lines": 0},
        {"segments": "7"},
        {"further": 1},
    ],
)
def test_a_plan_of_another_form_is_refused(change: Any) -> None:
    body = json.dumps({**json.loads(PLAN.body), **change}, sort_keys=True, separators=(",", ":")).encode()

    with pytest.raises(JobEndedError, match="not written by this version"):
        Plan.read(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"x", b"[" * 100_000, PLAN.body + b" "])
def test_a_damaged_plan_is_refused(body: bytes) -> None:
    with pytest.raises(JobEndedError, match="damaged"):
        Plan.read(body)


@pytest.mark.parametrize(
    ("what", "function"), [("backfill", "replicator"), ("verify", "other")], ids=["work", "function"]
)
def test_the_plan_of_other_work_is_refused(what: str, function: str) -> None:
    with pytest.raises(
        JobEndedError, match=f"a verify of the function replicator, and not a {what} of {function}"
    ):
        PLAN.refuse_other(what=what, function=function)


def test_the_plan_of_this_work_is_accepted() -> None:
    PLAN.refuse_other(what="verify", function="replicator")
    PLAN.refuse_changed(NOW)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"pair": {**PLAN.pair, "source": "a of now"}},
            "the source was recreated since .* it was a of then, and is a of now",
        ),
        ({"pair": {**PLAN.pair, "replica": "c"}}, "the replica was recreated since the job was planned"),
        ({"patterns": []}, "the filter of the event source mapping changed since the job was planned"),
        ({"is_archive": True}, "into an archive.* since the job was planned"),
        ({"transform": "digest"}, "the function's transform changed since the job was planned"),
    ],
)
def test_what_changed_since_is_refused(change: Any, said: str) -> None:
    with pytest.raises(JobEndedError, match=said):
        PLAN.refuse_changed(replace(NOW, **change))


def test_a_backfill_is_refused_after_any_update_of_the_function() -> None:
    """A transform that was deployed and taken back may have written over what was copied."""
    plan = replace(PLAN, function_updated="then")
    plan.refuse_changed(replace(NOW, function_updated="then"))

    with pytest.raises(JobEndedError, match="the function was updated since the job was planned"):
        plan.refuse_changed(NOW)


@pytest.mark.parametrize(
    ("more", "per_second", "units"),
    [
        ({}, None, UNKNOWN_UNITS),
        ({}, 7.5, 7.5),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 400}}, None, 100),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": -1}}, None, UNKNOWN_UNITS),
        ({"WarmThroughput": {"ReadUnitsPerSecond": 12_000}}, None, 3_000),
        (
            {
                "OnDemandThroughput": {"MaxReadRequestUnits": 400},
                "WarmThroughput": {"ReadUnitsPerSecond": 12_000},
            },
            None,
            100,
        ),
    ],
)
def test_the_budget_of_an_on_demand_table(more: Any, per_second: float | None, units: float) -> None:
    table = described("orders")
    table = replace(table, description={**table.description, **more})

    assert table.capacity is None
    assert read_budget(table, per_second) == units


@pytest.mark.parametrize(("provisioned", "units"), [(10, 2.5), (1, 0.25), (0, 0.25)])
def test_the_budget_of_a_provisioned_table_is_a_quarter(provisioned: int, units: float) -> None:
    table = described("orders", read_units=provisioned)

    assert read_budget(table, None) == units
    assert read_budget(table, 40) == 40

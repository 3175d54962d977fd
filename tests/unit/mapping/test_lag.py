"""lag: wait until the minutes of a watch are complete and have arrived, and never for nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import NoCredentialsError

from ddbreplica.aws.clock import Clock
from ddbreplica.errors import TaskError
from ddbreplica.mapping import lag as of_tables
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lag import LagReader, Mapped, lag
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.mapping.metrics import Series
from tests.support.facts import EARLIER_STREAM, MAPPING, STREAM
from tests.support.waiting import Waiting

if TYPE_CHECKING:
    from ddbreplica.dynamodb.connection import Connection

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
BEGIN, END = NOON + timedelta(seconds=20), NOON + timedelta(seconds=70)
IDLE = {"PolledEventCount": 0.0}
BUSY = {"PolledEventCount": 5.0, "IteratorAge": 400.0, "Duration": 100.0}
NAMES = (
    "IteratorAge",
    "Duration",
    "Throttles",
    "PolledEventCount",
    "FilteredOutEventCount",
    "FailedInvokeEventCount",
)


class World(Waiting):
    """A mapping, and CloudWatch, whose values of a minute arrive some seconds after it."""

    def __init__(self) -> None:
        super().__init__()
        self.mappings: Sequence[MappingState] = (MAPPING,)
        self.stream: str | None = STREAM
        self.values: Mapping[str, float] = BUSY
        self.delay = 0.0
        self.reported = True
        self.error: Exception | None = None
        self.asked: list[tuple[float, datetime, datetime]] = []
        self.listed = 0
        self.ask = LagReader(self.find, self.measure, self.has_reported, self.time, self)

    def time(self) -> datetime:
        return END + timedelta(seconds=self.now)

    def find(self) -> Mapped:
        return Mapped(self.mappings, self.stream)

    def measure(self, mapping: MappingState, begin: datetime, end: datetime) -> dict[str, Series]:
        assert mapping.stream_arn == STREAM
        self.asked.append((self.now, begin, end))
        if self.error is not None:
            raise self.error
        arrived = [
            minute
            for minute in (NOON, NOON + timedelta(minutes=1))
            if minute + timedelta(seconds=60 + self.delay) <= self.time()
        ]
        return {name: [(at, self.values[name]) for at in arrived if name in self.values] for name in NAMES}

    def has_reported(self, mapping: MappingState) -> bool:
        assert mapping.stream_arn == STREAM
        self.listed += 1
        return self.reported


@pytest.fixture
def world() -> World:
    return World()


def test_the_figures_are_those_of_the_minutes_that_cover_the_time(world: World) -> None:
    assert world.ask(BEGIN, END) == LagFigures(seconds=0.5)
    assert {(begin, end) for _, begin, end in world.asked} == {(NOON, NOON + timedelta(minutes=2))}


def test_they_are_waited_for_until_half_a_minute_after_the_last_minute(world: World) -> None:
    world.ask(BEGIN, END)

    # The watch ended at 12:01:10.
    assert [moment for moment, _, _ in world.asked] == [0.0, 80.0]
    assert world.listed == 0


def test_all_minutes_of_a_long_time_count(world: World) -> None:
    world.now = 200.0

    assert world.ask(BEGIN, BEGIN + timedelta(seconds=170)).unknown is not None
    assert {(begin, end) for _, begin, end in world.asked} == {(NOON, NOON + timedelta(minutes=4))}


def test_values_of_a_minute_that_is_not_over_are_not_the_figures(world: World) -> None:
    world.now, world.delay = 30.0, -60.0

    assert world.ask(BEGIN, END) == LagFigures(seconds=0.5)
    assert [moment for moment, _, _ in world.asked] == [30.0, 80.0]


def test_complete_minutes_are_not_waited_for(world: World) -> None:
    world.now = 80.0

    assert world.ask(BEGIN, END) == LagFigures(seconds=0.5)
    assert world.now == 80.0


@pytest.mark.parametrize("delay", [31.0, 90.0, 119.0])
def test_values_that_arrive_late_are_waited_for(world: World, delay: float) -> None:
    world.delay = delay
    world.values = IDLE

    assert world.ask(BEGIN, END) == LagFigures(is_idle=True)
    assert world.now < 50 + delay + 15


def test_after_three_minutes_what_has_not_arrived_is_unknown(world: World) -> None:
    world.delay = 10_000

    assert world.ask(BEGIN, END) == LagFigures(
        unknown="CloudWatch has no IteratorAge of the function replicator for 12:00 UTC"
    )
    # Two minutes after the last minute of the watch, which ended at 12:01:10.
    assert world.now == 170.0


def test_figures_of_a_time_long_ago_are_not_waited_for(world: World) -> None:
    world.now = 10_000.0
    world.delay = 1e6

    assert world.ask(BEGIN, END).unknown is not None
    assert world.now == 10_000.0


@pytest.mark.parametrize("name", ["Throttles", "FailedInvokeEventCount"])
def test_a_problem_that_the_figures_name_is_not_waited_for(world: World, name: str) -> None:
    world.values = {name: 1.0}

    assert world.ask(BEGIN, END).problem is not None
    assert world.now == 0.0


def test_where_nothing_ever_reported_nothing_is_waited_for(world: World) -> None:
    world.values, world.reported = {}, False

    assert world.ask(BEGIN, END) == LagFigures(
        unknown="CloudWatch has no metrics of the event source mapping 11-22, nor of its function replicator"
    )
    assert (world.now, world.listed) == (0.0, 1)


def test_where_something_has_reported_the_rest_is_waited_for(world: World) -> None:
    world.values, world.delay = {}, 0.0

    assert world.ask(BEGIN, END).unknown is not None
    assert (world.now, world.listed) == (170.0, 1)


@pytest.mark.parametrize(
    "mappings",
    [(), (replace(MAPPING, state="Disabled"),), (replace(MAPPING, stream_arn=EARLIER_STREAM),)],
)
def test_a_mapping_with_a_problem_is_not_measured(world: World, mappings: Sequence[MappingState]) -> None:
    world.mappings = mappings

    assert world.ask(BEGIN, END).problem is not None
    assert (world.now, world.asked) == (0.0, [])


def test_a_mapping_beside_one_on_an_earlier_stream_is_measured(world: World) -> None:
    world.mappings = (replace(MAPPING, stream_arn=EARLIER_STREAM), MAPPING)

    assert world.ask(BEGIN, END) == LagFigures(seconds=0.5)


def test_a_source_without_a_stream_is_a_problem(world: World) -> None:
    world.stream = None

    assert world.ask(BEGIN, END) == LagFigures(problem="the source has no enabled stream")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TaskError("AccessDenied: why", hint=""), "AccessDenied: why"),
        (NoCredentialsError(), "NoCredentialsError: Unable to locate credentials"),
    ],
)
def test_metrics_that_cannot_be_read_are_unknown(world: World, error: Exception, why: str) -> None:
    world.error = error

    assert world.ask(BEGIN, END) == LagFigures(unknown=why)
    assert world.now == 0.0


def test_a_mapping_that_cannot_be_read_is_unknown(world: World) -> None:
    def fail() -> Mapped:
        raise TaskError("AccessDenied: why", hint="")

    ask = replace(world.ask, find=fail)

    assert ask(BEGIN, END) == LagFigures(unknown="AccessDenied: why")


def test_an_interruption_ends_the_wait(world: World) -> None:
    world.delay = 10_000
    sleep = world.sleep

    def interrupted(seconds: float) -> None:
        sleep(seconds)
        world.set()

    ask = replace(world.ask, interrupt=world)
    world.sleep = interrupted  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        ask(BEGIN, END)
    assert len(world.asked) == 1


# The requests


class FakeCloudWatch:
    """Metrics of a function and a mapping, and the requests for them."""

    def __init__(self) -> None:
        self.values: dict[str, list[tuple[datetime, float]]] = {}
        self.listed: list[str] = []
        self.asked: list[tuple[str, str, str, datetime, datetime]] = []
        self.known: set[str] = set()

    def get_paginator(self, operation: str) -> "FakeCloudWatch":
        assert operation == "get_metric_data"
        return self

    def paginate(self, *, MetricDataQueries: Any, StartTime: datetime, EndTime: datetime) -> Any:  # noqa: N803
        results = []
        for query in MetricDataQueries:
            metric = query["MetricStat"]["Metric"]
            assert (metric["Namespace"], query["MetricStat"]["Period"]) == ("AWS/Lambda", 60)
            (dimension,) = metric["Dimensions"]
            name, stat = metric["MetricName"], query["MetricStat"]["Stat"]
            self.asked.append((name, stat, _shown(dimension), StartTime, EndTime))
            points = self.values.get(name, [])
            results.append(
                {
                    "Id": query["Id"],
                    "StatusCode": "Complete",
                    "Timestamps": [at for at, _ in points],
                    "Values": [value for _, value in points],
                }
            )
        return [{"MetricDataResults": results}]

    def list_metrics(self, *, Namespace: str, Dimensions: Any) -> Any:  # noqa: N803
        assert Namespace == "AWS/Lambda"
        (dimension,) = Dimensions
        self.listed.append(_shown(dimension))
        return {"Metrics": [{}] if _shown(dimension) in self.known else []}


def _shown(dimension: Any) -> str:
    return f"{dimension['Name']}={dimension['Value']}"


class Requests:
    """A connection whose tables have one mapping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloudwatch = FakeCloudWatch()
        self.mappings: Sequence[MappingState] = (MAPPING,)
        self.latest: str | None = STREAM
        side = SimpleNamespace(metrics=lambda: self.cloudwatch)
        clock = Clock(local=lambda: END)
        self.connection = cast("Connection", SimpleNamespace(source=side, clock=clock))
        described = SimpleNamespace(stream=STREAM, table=SimpleNamespace(arn="arn:table"))

        def describe(of: object) -> object:
            assert of is side
            return described

        def find_mappings(connection: object, arn: str) -> Sequence[MappingState]:
            assert (connection, arn) == (self.connection, "arn:table")
            return self.mappings

        def latest_stream(connection: object) -> str | None:
            assert connection is self.connection
            return self.latest

        def find_mapping(connection: object, stream: str | None) -> MappingState | None:
            assert connection is self.connection
            return next((each for each in self.mappings if each.stream_arn == stream), None)

        for fake in (describe, find_mappings, latest_stream, find_mapping):
            monkeypatch.setattr(of_tables, fake.__name__, fake)

    def ask(self, waiting: Waiting | None = None) -> LagFigures:
        clock = waiting or Waiting()
        long_after = END + timedelta(hours=1)
        reader = LagReader.of(self.connection, now=lambda: END if waiting else long_after, interrupt=clock)
        return reader(BEGIN, END)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    return Requests(monkeypatch)


def test_the_metrics_are_those_of_function_and_mapping(requests: Requests) -> None:
    assert requests.ask().unknown is not None

    function, mapping = "FunctionName=replicator", "EventSourceMappingUUID=11-22"
    minutes = NOON, NOON + timedelta(minutes=2)
    assert requests.cloudwatch.asked == [
        ("IteratorAge", "Maximum", function, *minutes),
        ("Duration", "Maximum", function, *minutes),
        ("Throttles", "Sum", function, *minutes),
        ("PolledEventCount", "Sum", mapping, *minutes),
        ("FilteredOutEventCount", "Sum", mapping, *minutes),
        ("FailedInvokeEventCount", "Sum", mapping, *minutes),
    ]


def test_the_values_are_read(requests: Requests) -> None:
    both = [(NOON, 400.0), (NOON + timedelta(minutes=1), 300.0)]
    requests.cloudwatch.values = {"IteratorAge": both, "Duration": both}

    assert requests.ask() == LagFigures(seconds=0.8)


def test_the_mappings_of_the_source_are_found(requests: Requests) -> None:
    requests.mappings = ()

    assert requests.ask().problem is not None


def test_mapping_and_function_are_looked_for_in_the_list_of_metrics(requests: Requests) -> None:
    waiting = Waiting()

    assert requests.ask(waiting).unknown is not None
    assert requests.cloudwatch.listed == ["EventSourceMappingUUID=11-22", "FunctionName=replicator"]
    assert waiting.now == 0.0


@pytest.mark.parametrize(
    ("known", "listed"),
    [("EventSourceMappingUUID=11-22", 1), ("FunctionName=replicator", 2)],
)
def test_if_either_is_in_the_list_the_figures_are_waited_for(
    requests: Requests, known: str, listed: int
) -> None:
    requests.cloudwatch.known = {known}
    waiting = Waiting()
    sleeping = waiting.sleep

    def sleep(seconds: float) -> None:
        sleeping(seconds)
        waiting.set()

    waiting.sleep = sleep  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt):
        requests.ask(waiting)
    assert len(requests.cloudwatch.listed) == listed


def test_the_simple_lag_is_the_last_age_of_five_minutes(requests: Requests) -> None:
    assert lag(requests.connection) is None
    assert requests.cloudwatch.asked == [
        ("IteratorAge", "Maximum", "FunctionName=replicator", END - timedelta(minutes=5), END)
    ]

    requests.cloudwatch.values = {"IteratorAge": [(END, 2500.0), (NOON, 9000.0)]}
    assert lag(requests.connection) == 2.5


def test_the_simple_lag_of_a_replica_without_a_mapping_is_unknown(requests: Requests) -> None:
    requests.cloudwatch.values = {"IteratorAge": [(END, 2500.0)]}
    requests.latest = None

    assert lag(requests.connection) is None


@pytest.mark.parametrize("error", [TaskError("denied", hint=""), NoCredentialsError()])
def test_the_simple_lag_of_what_cannot_be_read_is_unknown(
    requests: Requests, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(of_tables, "latest_stream", fail)

    assert lag(requests.connection) is None

"""lag: wait until the minutes of a watch are complete and have arrived, and never for nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import NoCredentialsError

from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lag import LagReader, Mapped
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.mapping.metrics import Series
from tests.support.facts import EARLIER_STREAM, MAPPING, STREAM
from tests.support.waiting import Waiting

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
BEGIN, END = NOON + timedelta(seconds=20), NOON + timedelta(seconds=70)
IDLE = {"PolledEventCount": 0.0}
BUSY = {"PolledEventCount": 5.0, "IteratorAge": 400.0, "Duration": 100.0}
NAMES = ("IteratorAge", "Duration", "Throttles", "PolledEventCount", "FailedInvokeEventCount")


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

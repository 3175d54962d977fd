"""Measure the replica's lag by the mapping's state, and by the metrics that Lambda emits for it and its function."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ddbreplica.aws.request import REFUSALS, fact_of
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lag_figures import MINUTE, LagFigures, figures_of, minutes_of, problem_of
from ddbreplica.mapping.lookup import find_mapping, find_mappings, latest_stream
from ddbreplica.mapping.metrics import Series, has_reported, of_function, of_mapping, read_series

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

# Lambda emits IteratorAge for invocations only. Without one in this time the lag is unknown, not 0.
_WINDOW = timedelta(minutes=5)

SETTLED = timedelta(seconds=30)
"""How long after a minute CloudWatch may still add values to it."""

ARRIVED = timedelta(minutes=2)
"""How long after a minute its values have arrived at the latest: at most three minutes after the time itself."""

PAUSE_SECONDS = 15.0
"""The pause between two requests for values that have not arrived."""


def lag(connection: Connection) -> float | None:
    """Return how old the last records were when the function received them, in seconds; None if that is unknown.

    A refused request is not an error, because no command depends on the lag.
    """
    try:
        mapping = find_mapping(connection, latest_stream(connection))
        return _last_age(connection, mapping) if mapping else None
    except REFUSALS:
        return None


def _last_age(connection: Connection, mapping: MappingState) -> float | None:
    now = connection.clock.moment
    queries = [_iterator_age(mapping)]
    series = read_series(connection.source.metrics(), queries, begin=now - _WINDOW, end=now)
    _, last = max(series["IteratorAge"], default=(None, None))
    return None if last is None else last / 1000


def _iterator_age(mapping: MappingState) -> "MetricDataQueryTypeDef":
    # The maximum, since one late shard beside healthy ones must count.
    return of_function("IteratorAge", mapping, stat="Maximum")


@dataclass(frozen=True, slots=True)
class Mapped:
    """The mappings of a source to a replica, and the ARN of the source's enabled stream, or None."""

    mappings: Sequence[MappingState]
    stream: str | None


@dataclass(frozen=True, slots=True)
class LagReader:
    """An AskLag. `now` is the clock of the times that it is given, which should be AWS's.

    A request that fails makes the lag unknown. Raises KeyboardInterrupt if the task is asked to stop.
    """

    find: Callable[[], Mapped]
    measure: Callable[[MappingState, datetime, datetime], Mapping[str, Series]]
    """Return the series of the lag's metrics from a minute until before another."""
    has_reported: Callable[[MappingState], bool]
    """Return whether CloudWatch has any metric of the mapping or of its function."""
    now: Callable[[], datetime]
    interrupt: Interrupt

    @classmethod
    def of(cls, connection: Connection, *, now: Callable[[], datetime], interrupt: Interrupt) -> "LagReader":
        """Return the reader for a connection's tables."""

        def measure(mapping: MappingState, begin: datetime, end: datetime) -> Mapping[str, Series]:
            return read_series(connection.source.metrics(), _of_lag(mapping), begin=begin, end=end)

        def reported(mapping: MappingState) -> bool:
            client = connection.source.metrics()
            return has_reported(client, {"EventSourceMappingUUID": mapping.uuid}) or has_reported(
                client, {"FunctionName": mapping.function_name}
            )

        return cls(lambda: _mapped(connection), measure, reported, now, interrupt)

    def __call__(self, begin: datetime, end: datetime) -> LagFigures:
        """Return the figures of the minutes that cover a time. Wait until CloudWatch has them, for three minutes."""
        try:
            mapped = self.find()
            problem = problem_of(mapped.mappings, stream=mapped.stream)
            if problem is not None:
                return LagFigures(problem=problem)
            (mapping,) = (each for each in mapped.mappings if each.stream_arn == mapped.stream)
            return self._measured(mapping, minutes_of(begin, end))
        except REFUSALS as error:
            return LagFigures(unknown=fact_of(error))

    def _measured(self, mapping: MappingState, minutes: Sequence[datetime]) -> LagFigures:
        over = minutes[-1] + MINUTE
        is_first = True
        while True:
            now = self.now()
            series = self.measure(mapping, minutes[0], over)
            figures = figures_of(mapping, series, minutes)
            is_known = figures.unknown is None and now >= over + SETTLED
            if is_known or figures.problem is not None or now >= over + ARRIVED:
                return figures
            # Nothing is waited for where CloudWatch has no metrics at all, as in an emulator.
            if is_first and not any(series.values()) and not self.has_reported(mapping):
                return LagFigures(unknown=_never_reported(mapping))
            is_first = False
            self._sleep(max((over + SETTLED - now).total_seconds(), PAUSE_SECONDS))

    def _sleep(self, seconds: float) -> None:
        self.interrupt.sleep(seconds)
        self.interrupt.check()


def _mapped(connection: Connection) -> Mapped:
    source = describe(connection.source)
    return Mapped(find_mappings(connection, source.table.arn), source.stream)


def _of_lag(mapping: MappingState) -> Iterator["MetricDataQueryTypeDef"]:
    yield _iterator_age(mapping)
    yield of_function("Duration", mapping, stat="Maximum")
    yield of_function("Throttles", mapping)
    yield of_mapping("PolledEventCount", mapping)
    yield of_mapping("FilteredOutEventCount", mapping)
    yield of_mapping("FailedInvokeEventCount", mapping)


def _never_reported(mapping: MappingState) -> str:
    return (
        f"CloudWatch has no metrics of the event source mapping {mapping.uuid}, nor of its function"
        f" {mapping.function_name}"
    )

"""What the state and the metrics of a mapping say about the lag, as a value. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from ddbreplica.mapping.event_source_mapping import TAG, MappingState

if TYPE_CHECKING:
    from ddbreplica.mapping.metrics import Series

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class LagFigures:
    """What the mapping's state and metrics say about the lag during a time. One of the four is set.

    `problem` is a clause that names why changes may not arrive. `is_idle` is whether the mapping was enabled and
    received no record for the function in any minute. `seconds` is how long a change took to arrive at most.
    `unknown` is a clause that says why the figures are missing.
    """

    problem: str | None = None
    is_idle: bool = False
    seconds: float | None = None
    unknown: str | None = None


AskLag: TypeAlias = Callable[[datetime, datetime], LagFigures]
"""Return the figures of a time, given its begin and its end. It may wait for minutes, until CloudWatch has them."""


def minutes_of(begin: datetime, end: datetime) -> Sequence[datetime]:
    """Return the starts of the minutes that cover a time; one minute covers a single moment."""
    minutes = [begin.replace(second=0, microsecond=0)]
    while minutes[-1] + MINUTE < end:
        minutes.append(minutes[-1] + MINUTE)
    return minutes


def problem_of(mappings: Sequence[MappingState], *, stream: str | None) -> str | None:
    """Return a clause that names why changes of the source may not arrive; None if one enabled mapping brings them.

    `mappings` are those that replicate any stream of the source to the replica, and `stream` is the ARN of the
    source's enabled stream, or None.
    """
    if stream is None:
        return "the source has no enabled stream"
    if not mappings:
        return (
            f"no event source mapping of a function with the tag {TAG} replicates the source to the replica"
        )
    present = [mapping for mapping in mappings if mapping.stream_arn == stream]
    if not present:
        return f"the event source mapping {mappings[0].uuid} reads an earlier stream of the source"
    if len(present) > 1:
        uuids = ", ".join(mapping.uuid for mapping in present)
        return f"{len(present)} event source mappings replicate the source to the replica: {uuids}"
    return _problem_of_state(present[0])


def _problem_of_state(mapping: MappingState) -> str | None:
    if not mapping.is_enabled:
        return f"the event source mapping {mapping.uuid} is {mapping.state}"
    if mapping.has_failed:
        return (
            f"the last processing result of the event source mapping {mapping.uuid} is {mapping.last_result}"
        )
    return None


_Values: TypeAlias = Mapping[str, Mapping[datetime, float]]
"""The values of some minutes, by the name of the metric."""


def figures_of(
    mapping: MappingState, series: Mapping[str, "Series"], minutes: Sequence[datetime]
) -> LagFigures:
    """Return the figures of an enabled mapping for complete minutes, by their metrics as far as they have arrived."""
    values = _of_minutes(series, minutes)
    if problem := _failures(mapping, values):
        return LagFigures(problem=problem)
    ages, idle = values["IteratorAge"], _idle(mapping, values)
    if not ages and idle.issuperset(minutes):
        return LagFigures(is_idle=True)
    # Lambda emits IteratorAge only if it invokes the function. A minute without it has no lag of 0.
    if missing := [at for at in minutes if at not in {*ages, *idle}]:
        return LagFigures(unknown=_missing("IteratorAge", mapping, missing[0]))
    if not values["Duration"]:
        return LagFigures(unknown=_missing("Duration", mapping, minutes[0]))
    window = mapping.settings.get("MaximumBatchingWindowInSeconds", 0)
    # CloudWatch has milliseconds. The maximum is that of all shards, so that one late shard counts.
    return LagFigures(seconds=window + (max(ages.values()) + max(values["Duration"].values())) / 1000)


def _of_minutes(series: Mapping[str, "Series"], minutes: Sequence[datetime]) -> _Values:
    return {name: {at: value for at, value in points if at in minutes} for name, points in series.items()}


def _failures(mapping: MappingState, values: _Values) -> str | None:
    """Return a clause about what the function has not processed, or None."""
    if any(values["Throttles"].values()):
        return f"Lambda throttled the function {mapping.function_name}"
    failed = sum(values["FailedInvokeEventCount"].values())
    return f"the function {mapping.function_name} did not process {failed:,.0f} records" if failed else None


def _idle(mapping: MappingState, values: _Values) -> set[datetime]:
    """Return the minutes in which the mapping had no record for the function.

    Only a mapping that emits event source mapping metrics, and is enabled, emits zeros while it is idle. The records
    that its filter leaves out are none for the function.
    """
    filtered = values["FilteredOutEventCount"]
    polled = values["PolledEventCount"] if mapping.counts_events else {}
    return {at for at, records in polled.items() if records == filtered.get(at, 0)}


def _missing(metric: str, mapping: MappingState, minute: datetime) -> str:
    return f"CloudWatch has no {metric} of the function {mapping.function_name} for {minute:%H:%M %Z}"

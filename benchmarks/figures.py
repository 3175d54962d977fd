"""Samples → figures with their spread, and ratios between contestants. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TypeAlias

from benchmarks.processes import Sample
from benchmarks.workloads import WORKLOADS


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, and the quartiles about it."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Case:
    """One contestant at one workload; the service time is in milliseconds."""

    contestant: str
    workload: str
    service_time: int


@dataclass(frozen=True, slots=True)
class Work:
    """What a contestant does for one batch. `exact` is whether every item arrived as it was; `peak` is in bytes."""

    requests: int
    writes: int
    saved: int
    exact: bool
    peak: int


Timings: TypeAlias = Mapping[Case, Sequence[Sample]]
"""The samples of each case, one a round: those of one place in the sequences were taken side by side."""

Cost: TypeAlias = Callable[[Case, Sample], float]


def cpu(case: Case, sample: Sample) -> float:
    """Microseconds of CPU time a record, threads included."""
    return sample.cpu * 1e6 / sample.batches / WORKLOADS[case.workload].records


def wall(case: Case, sample: Sample) -> float:
    """Microseconds a record."""
    return sample.wall * 1e6 / sample.batches / WORKLOADS[case.workload].records


def spread(values: Sequence[float]) -> Spread:
    """The median of one value or more, and their quartiles."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), low, high)


def cost(timings: Timings, case: Case, of: Cost) -> Spread:
    """A figure over all rounds."""
    return spread([of(case, sample) for sample in timings[case]])


def ratio(timings: Timings, dividend: Case, divisor: Case, of: Cost) -> Spread:
    """How often one case's figure holds the other's: taken within each round, so that a busy machine slows both."""
    pairs = zip(timings[dividend], timings[divisor], strict=True)
    return spread([of(dividend, one) / of(divisor, other) for one, other in pairs])

"""Compute figures with their spread, and ratios between contestants, from samples. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TypeAlias

from benchmarks.processes import Sample
from benchmarks.workloads import WORKLOADS


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, and the two quartiles."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Case:
    """One contestant with one workload; the service time is in milliseconds."""

    contestant: str
    workload: str
    service_time: int


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a contestant for one batch. `exact`: every item arrived unchanged; `peak` is in bytes."""

    requests: int
    writes: int
    saved: int
    exact: bool
    peak: int


Timings: TypeAlias = Mapping[Case, Sequence[Sample]]
"""The samples of each case, one per round. Samples at the same position were taken in the same round."""

Cost: TypeAlias = Callable[[Case, Sample], float]


def cpu(case: Case, sample: Sample) -> float:
    """Return the CPU microseconds per record, of all threads."""
    return sample.cpu * 1e6 / sample.batches / WORKLOADS[case.workload].records


def wall(case: Case, sample: Sample) -> float:
    """Return the microseconds per record."""
    return sample.wall * 1e6 / sample.batches / WORKLOADS[case.workload].records


def spread(values: Sequence[float]) -> Spread:
    """Return the median of one or more values, and their quartiles."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), low, high)


def cost(timings: Timings, case: Case, of: Cost) -> Spread:
    """Return a figure over all rounds."""
    return spread([of(case, sample) for sample in timings[case]])


def ratio(timings: Timings, dividend: Case, divisor: Case, of: Cost) -> Spread:
    """Return the ratio of two cases, taken within each round, so that a busy machine affects both."""
    pairs = zip(timings[dividend], timings[divisor], strict=True)
    return spread([of(dividend, one) / of(divisor, other) for one, other in pairs])

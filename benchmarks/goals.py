"""Decide which goals are reached. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.bounds import ColdStart
from benchmarks.figures import Case, Cost, Spread, Timings, Work, cpu, ratio, wall

MEMORY = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Goal:
    """A run fails if it misses a `binding` goal. The other goals depend on the speed of the machine."""

    title: str
    wanted: Literal["≥", "≤", "="]
    limit: float
    value: float
    binding: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the value meets the limit."""
        match self.wanted:
            case "≥":
                return self.value >= self.limit
            case "≤":
                return self.value <= self.limit
            case "=":
                return self.value == self.limit


def goals(
    timings: Timings,
    work: Mapping[tuple[str, str], Work],
    cold: ColdStart,
    transform: Spread,
    peaks: Mapping[str, int],
) -> tuple[Goal, ...]:
    """Return the goals of all measured workloads."""
    return (
        *_speed(timings, "log-100", "100 log items", faster=25, floor=1.5),
        *_wall(timings),
        *_speed(timings, "log-1000", "1,000 log items", faster=30, floor=1.3),
        *_coalescing(work),
        Goal("100 log items, 0 ms: CPU time, four rules of a transform ÷ none", "≤", 1.5, transform.median),
        Goal("cold start: CPU time, ddbreplica ÷ a boto3 client", "≤", 1.3, cold.ratio.median),
        *(
            Goal(f"peak memory in MB: {title}", "≤", MEMORY / 2**20, round(peak / 2**20), binding=True)
            for title, peak in peaks.items()
        ),
    )


def _speed(timings: Timings, workload: str, title: str, *, faster: float, floor: float) -> Iterator[Goal]:
    for case in timings:
        if case.workload == workload and case.contestant == "ours":
            what = f"{title}, {case.service_time} ms: CPU time,"
            yield Goal(
                f"{what} workshop handler ÷ ddbreplica",
                "≥",
                faster,
                _over(timings, "workshop", case, cpu),
            )
            yield Goal(f"{what} ddbreplica ÷ floor", "≤", floor, 1 / _over(timings, "floor", case, cpu))


def _wall(timings: Timings) -> Iterator[Goal]:
    case = Case("ours", "log-100", 4)
    if case in timings:
        value = _over(timings, "workshop", case, wall)
        yield Goal("100 log items, 4 ms: wall time, workshop handler ÷ ddbreplica", "≥", 70, value)


def _over(timings: Timings, contestant: str, ours: Case, of: Cost) -> float:
    theirs = Case(contestant, ours.workload, ours.service_time)
    return ratio(timings, theirs, ours, of).median


def _coalescing(work: Mapping[tuple[str, str], Work]) -> Iterator[Goal]:
    if ("ours", "hot") in work:
        writes = work["ours", "hot"].writes
        yield Goal("writes for 1,000 changes of 10 keys", "=", 10, writes, binding=True)

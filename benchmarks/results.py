"""Turn the figures of a run into JSON values and tables. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.bounds import ColdStart
from benchmarks.contestants import CONTESTANTS
from benchmarks.figures import Case, Cost, Spread, Timings, Work, cost, cpu, wall
from benchmarks.goals import Goal
from benchmarks.rounds import SERVICE_TIMES
from benchmarks.workloads import WORKLOADS


@dataclass(frozen=True, slots=True)
class Results:
    """A run. `about` has the date, the versions, the machine and the number of rounds."""

    about: Mapping[str, str | int]
    timings: Timings
    work: Mapping[tuple[str, str], Work]
    cold_start: ColdStart
    peaks: Mapping[str, int]
    goals: Sequence[Goal]

    def as_json(self) -> dict[str, Any]:
        """Return all results except single samples: µs per record, CPU seconds of cold starts, bytes."""
        return {
            "about": dict(self.about),
            "figures": [self._figure(case) for case in self.timings],
            "cold_start": asdict(self.cold_start),
            "peak_memory": dict(self.peaks),
            "goals": [{**asdict(goal), "reached": goal.is_reached} for goal in self.goals],
        }

    def _figure(self, case: Case) -> dict[str, Any]:
        return {
            **asdict(case),
            "cpu": asdict(cost(self.timings, case, cpu)),
            "wall": asdict(cost(self.timings, case, wall)),
            **asdict(self.work[case.contestant, case.workload]),
        }

    def tables(self) -> Iterator[Table]:
        """Yield a table per workload, and one of the goals."""
        for workload in dict.fromkeys(case.workload for case in self.timings):
            yield self._table(workload)
        yield goals_table(self.goals)

    def _table(self, workload: str) -> Table:
        table = Table(title=WORKLOADS[workload].title, title_justify="left", title_style="bold", box=SIMPLE)
        table.add_column("µs per record")
        costs = [f"{what}, {time} ms" for what in ("CPU", "wall") for time in SERVICE_TIMES]
        for name in (*costs, "requests", "writes", "saved", "peak MB", "exact"):
            table.add_column(name, justify="right")
        for contestant in CONTESTANTS:
            table.add_row(*self._row(contestant, workload))
        return table

    def _row(self, contestant: str, workload: str) -> Iterator[str]:
        yield CONTESTANTS[contestant].title
        for of in (cpu, wall):
            for service_time in SERVICE_TIMES:
                yield self._cost(Case(contestant, workload, service_time), of)
        work = self.work[contestant, workload]
        yield from (f"{number:,}" for number in (work.requests, work.writes, work.saved))
        yield f"{work.peak / 2**20:.0f}"
        yield "yes" if work.exact else "NO"

    def _cost(self, case: Case, of: Cost) -> str:
        return with_spread(cost(self.timings, case, of))


def goals_table(goals: Sequence[Goal]) -> Table:
    """Return the table of the goals: the target and the measured value of each."""
    table = Table(title="Goals", title_justify="left", title_style="bold", box=SIMPLE)
    for name in ("", "target", "measured", ""):
        table.add_column(name, justify="right" if name else "left")
    for goal in goals:
        reached = "reached" if goal.is_reached else "[bold]not reached[/]"
        table.add_row(goal.title, f"{goal.wanted} {goal.limit:g}", f"{goal.value:.3g}", reached)
    return table


def with_spread(value: Spread) -> str:
    """Return the median, and half the distance of the quartiles in percent of it."""
    percent = 50 * (value.high - value.low) / value.median
    digits = 0 if value.median >= 100 else 1
    return f"{value.median:,.{digits}f} ±{percent:.0f}%"

"""Turn the figures of a run into JSON values and tables. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.goals import Goal
from benchmarks.operator import units
from benchmarks.operator.figures import Case, Runs, cpu, goals, peak, rate, share
from benchmarks.operator.units import Units
from benchmarks.results import goals_table, with_spread


@dataclass(frozen=True, slots=True)
class Results:
    """A run. `about` has the date, the versions, the machine and the number of rounds."""

    about: Mapping[str, str | int]
    runs: Runs
    units: Sequence[Units] = ()

    @property
    def goals(self) -> Sequence[Goal]:
        """The goals of all measured cases."""
        return (*goals(self.runs), *units.goals(self.units))

    def as_json(self) -> dict[str, Any]:
        """Return all results except single runs: items per second, CPU microseconds per item, bytes."""
        return {
            "about": dict(self.about),
            "figures": [self._figure(case) for case in self.runs],
            "units": [asdict(figure) for figure in self.units],
            "goals": [{**asdict(goal), "reached": goal.is_reached} for goal in self.goals],
        }

    def _figure(self, case: Case) -> dict[str, Any]:
        return {
            **asdict(case),
            "title": case.program.title,
            "rate": asdict(rate(self.runs, case)),
            "cpu": asdict(cpu(self.runs, case)),
            "peak": peak(self.runs, case),
            "share": asdict(share(self.runs, case)),
        }

    def tables(self) -> Iterator[Table]:
        """Yield a table per service, and one of the goals."""
        for service in dict.fromkeys(case.service for case in self.runs):
            yield self._table(service)
        yield goals_table(self.goals)

    def _table(self, service: str) -> Table:
        table = Table("", title=service, title_justify="left", title_style="bold", box=SIMPLE)
        for name in (
            "items",
            "items per second",
            "CPU µs per item",
            "peak MB",
            "ratio",
        ):
            table.add_column(name, justify="right")
        for case in self.runs:
            if case.service == service:
                table.add_row(*self._row(case))
        return table

    def _row(self, case: Case) -> Iterator[str]:
        yield f"{case.command}: {case.program.title}"
        yield f"{case.items:,}"
        yield with_spread(rate(self.runs, case))
        yield with_spread(cpu(self.runs, case))
        yield f"{peak(self.runs, case) / 2**20:.0f}"
        yield f"{share(self.runs, case).median:.2f}"

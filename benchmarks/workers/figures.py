"""Compute the figures of workers and their goals. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.figures import Spread, spread
from benchmarks.goals import Goal
from benchmarks.jobs import Verification
from benchmarks.operator.programs import Run
from benchmarks.results import goals_table, with_spread
from ddbreplica.jobs.plan import ITEMS_OF_A_SEGMENT

WORKER: Final = "worker"
COMMAND: Final = "command"

RATIO: Final = 0.85
PEAK: Final = 512
"""The memory of a worker, in MB."""
WRITES: Final = 600
MILLION: Final = 1_000_000
OVERHEAD: Final = 5.0
"""Seconds of a job beside its work."""

_BILLIONS: Final = 2 * 10**9
_MOST: Final = {"eventually": (1.0, 50.0), "strongly": (11 / 6, 100.0)}
"""The most hours and dollars of a verification by the formula, by its reads."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The runs of a worker and of the command that does the same, one of each per round, on so many items."""

    what: str
    items: int
    worker: Sequence[Run]
    command: Sequence[Run]

    @property
    def ratio(self) -> Spread:
        """The throughput of the worker divided by that of the command, within each round."""
        pairs = zip(self.worker, self.command, strict=True)
        return spread([command.seconds / worker.seconds for worker, command in pairs])

    @property
    def figures(self) -> Iterator[Mapping[str, Any]]:
        """The figures of both, as JSON values."""
        for who, runs in ((WORKER, self.worker), (COMMAND, self.command)):
            yield {
                "what": self.what,
                "who": who,
                "items": self.items,
                "rate": asdict(spread([self.items / run.seconds for run in runs])),
                "cpu": asdict(spread([run.cpu * 1e6 / self.items for run in runs])),
                "peak": round(median(run.peak for run in runs)),
            }


@dataclass(frozen=True, slots=True)
class Segment:
    """A backfill of one segment of so many items: the memory of its worker in bytes, and the objects that it writes."""

    items: int
    peak: int
    writes: int


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds of jobs on the embedded AWS, and of the same work by one worker in process, one of each per round."""

    items: int
    segments: int
    jobs: Sequence[float]
    work: Sequence[float]

    @property
    def seconds(self) -> Spread:
        """The seconds of a job beside its work, if its workers shared the work without a loss."""
        pairs = zip(self.jobs, self.work, strict=True)
        return spread([job - work / self.segments for job, work in pairs])


@dataclass(frozen=True, slots=True)
class Results:
    """A run. `copied` is the segment of a backfill."""

    about: Mapping[str, str | int]
    compared: Sequence[Compared]
    copied: Segment
    overhead: Overhead

    @property
    def goals(self) -> Sequence[Goal]:
        """The goals of all measured cases, and of those that are computed."""
        return (*self._measured(), *_computed())

    def _measured(self) -> Iterator[Goal]:
        for each in self.compared:
            title = (
                f"{each.what} of {each.items:,} items: throughput of one worker ÷ the command, one segment"
            )
            yield Goal(title, "≥", RATIO, each.ratio.median)
        for what, items, peak in self._peaks():
            title = f"{what}, DynamoDB Local: peak MB of a worker, {items:,} items in one segment"
            yield Goal(title, "≤", PEAK, peak / 2**20, binding=True)
        segment = self.copied
        title = f"backfill: objects written for 1,000,000 items, counted for {segment.items:,}"
        # A segment of few items has as many writes beside those of its items.
        is_full = segment.items >= ITEMS_OF_A_SEGMENT
        yield Goal(title, "≤", WRITES, segment.writes * MILLION / segment.items, binding=is_full)
        job = self.overhead
        title = (
            f"verify, the embedded AWS: seconds beside the work, {job.items:,} items, {job.segments} segments"
        )
        yield Goal(title, "≤", OVERHEAD, job.seconds.median)

    def _peaks(self) -> Iterator[tuple[str, int, float]]:
        for each in self.compared:
            if each.items == self.copied.items:
                yield each.what, each.items, median(run.peak for run in each.worker)
        yield "backfill", self.copied.items, self.copied.peak

    def as_json(self) -> dict[str, Any]:
        """Return all results except single runs."""
        return {
            "about": dict(self.about),
            "figures": [figure for each in self.compared for figure in each.figures],
            "copied": asdict(self.copied),
            "overhead": {**asdict(self.overhead), "seconds": asdict(self.overhead.seconds)},
            "goals": [{**asdict(goal), "reached": goal.is_reached} for goal in self.goals],
        }

    def tables(self) -> Iterator[Table]:
        """Yield the table of the figures, and one of the goals."""
        table = Table("", title="workers", title_justify="left", title_style="bold", box=SIMPLE)
        for name in ("items", "items per second", "CPU µs per item", "peak MB"):
            table.add_column(name, justify="right")
        for each in self.compared:
            for figure in each.figures:
                rate, cpu = (with_spread(Spread(**figure[name])) for name in ("rate", "cpu"))
                title = f"{each.what}: {figure['who']}"
                table.add_row(title, f"{each.items:,}", rate, cpu, f"{figure['peak'] / 2**20:.0f}")
        yield table
        yield goals_table(self.goals)


def _computed() -> Iterator[Goal]:
    for how, (hours, dollars) in _MOST.items():
        job = Verification(_BILLIONS, 500, workers=200, consistent=how == "strongly")
        title = f"verify, formula: 2·10⁹ items of 500 bytes, 200 workers, {how}"
        yield Goal(f"{title}: hours", "≤", round(hours, 2), job.seconds / 3600, binding=True)
        yield Goal(f"{title}: dollars", "≤", dollars, job.dollars, binding=True)

"""Compute figures with their spread, ratios to the commands, and the goals, from runs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median
from typing import TypeAlias

from benchmarks.figures import Spread, spread
from benchmarks.goals import Goal
from benchmarks.operator.programs import PROGRAMS, Program, Run

GROWTH = 1.15
"""Limit for the ratio of memory with a table that is twenty times as large."""


@dataclass(frozen=True, slots=True)
class Case:
    """One contestant on a service, with a number of items."""

    service: str
    command: str
    contestant: str
    items: int

    @property
    def program(self) -> Program:
        """The program of the contestant."""
        return PROGRAMS[self.command][self.contestant]


Runs: TypeAlias = Mapping[Case, Sequence[Run]]
"""The runs of each case, one per round. Runs at the same position were made in the same round."""


def rate(runs: Runs, case: Case) -> Spread:
    """Return the items per second."""
    return spread([case.items / run.seconds for run in runs[case]])


def cpu(runs: Runs, case: Case) -> Spread:
    """Return the CPU microseconds per item."""
    return spread([run.cpu * 1e6 / case.items for run in runs[case]])


def peak(runs: Runs, case: Case) -> int:
    """Return the memory in bytes."""
    return round(median(run.peak for run in runs[case]))


def share(runs: Runs, case: Case) -> Spread:
    """Return the throughput of the command divided by that of this case, within each round."""
    pairs = zip(runs[case], runs[replace(case, contestant="ours")], strict=True)
    return spread([theirs.seconds / ours.seconds for theirs, ours in pairs])


def goals(runs: Runs) -> tuple[Goal, ...]:
    """Return the goals of all measured cases."""
    return (*_throughput(runs), *_memory(runs))


def _throughput(runs: Runs) -> Iterator[Goal]:
    for case in runs:
        if case.program.least is not None:
            title = f"{case.command}, {case.service}: throughput ÷ {case.program.title}"
            yield Goal(title, "≥", case.program.least, share(runs, case).median)


def _memory(runs: Runs) -> Iterator[Goal]:
    ours = [case for case in runs if case.contestant == "ours"]
    for small, large in product(ours, ours):
        if large == replace(small, items=large.items) and small.items < large.items:
            title = (
                f"{large.command}, {large.service}: peak memory at {large.items:,} items ÷ {small.items:,}"
            )
            yield Goal(title, "≤", GROWTH, peak(runs, large) / peak(runs, small), binding=True)

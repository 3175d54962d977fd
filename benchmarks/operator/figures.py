"""Compute figures with their spread, ratios to the commands, and the goals, from runs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median
from typing import TypeAlias

from benchmarks.figures import Spread, spread
from benchmarks.goals import Goal
from benchmarks.operator.programs import PROGRAMS, Program, Run

GROWTH = 10.0
"""Limit for the growth of memory in MB with a table that is twenty times as large."""


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
    return (*_throughput(runs), *_memory(runs), *_times(runs))


def _throughput(runs: Runs) -> Iterator[Goal]:
    for case in runs:
        if case.program.least is not None and not _has_larger(runs, case):
            title = f"{case.command}, {case.service}: throughput ÷ {case.program.title}"
            yield Goal(title, "≥", case.program.least, share(runs, case).median)


def _has_larger(runs: Runs, case: Case) -> bool:
    """Return whether the same was measured with more items, which the start of a process affects less."""
    return any(other == replace(case, items=other.items) and other.items > case.items for other in runs)


def _memory(runs: Runs) -> Iterator[Goal]:
    ours = [case for case in runs if case.contestant == "ours"]
    for small, large in product(ours, ours):
        if large == replace(small, items=large.items) and small.items < large.items:
            sizes = f"{large.items:,} items − at {small.items:,}"
            growth = (peak(runs, large) - peak(runs, small)) / 2**20
            title = f"{large.command}, {large.service}: peak MB at {sizes}"
            yield Goal(title, "≤", GROWTH, growth, binding=True)


def _times(runs: Runs) -> Iterator[Goal]:
    for case, those in runs.items():
        if (most := case.program.most_seconds) is not None:
            title = f"{case.command}, {case.service}: seconds for {case.items:,} equal rows"
            yield Goal(title, "≤", most, median(run.seconds for run in those), binding=True)

"""Print the results of a run. Exit status 1 means that the run is void or that a binding goal was missed."""

import argparse
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks.goals import Goal
from benchmarks.processes import BenchmarkError

HERE = Path(__file__).parent
_ERRORS = Console(stderr=True, highlight=False, markup=False)
_WIDTH = 132


class Measured(Protocol):
    """The results of a run."""

    @property
    def about(self) -> Mapping[str, str | int]:
        """The date, the versions, the machine and the number of rounds."""
        ...

    @property
    def goals(self) -> Sequence[Goal]:
        """The goals."""
        ...

    def tables(self) -> Iterator[Table]:
        """The tables to print."""
        ...


M = TypeVar("M", bound=Measured)


def options(prog: str, description: str, *, rounds: int, quick: int) -> argparse.Namespace:
    """Return the options `quick`, `rounds` and `output`: an existing directory, or None to store nothing."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--rounds", type=_positive, help=f"interleaved rounds (default: {rounds}; with --quick: {quick})"
    )
    parser.add_argument("--quick", action="store_true", help="a minimal run, to try it")
    parser.add_argument("--output", type=Path, help="directory for the results (default: benchmarks)")
    found = parser.parse_args()
    found.rounds = found.rounds or (quick if found.quick else rounds)
    found.output = found.output or (None if found.quick else HERE)
    if found.output is not None:
        found.output.mkdir(
            parents=True, exist_ok=True
        )  # an error is reported before a run of minutes, not after it
    return found


def conduct(measure: Callable[[], M], *, keep: Callable[[M], None]) -> int:
    """Measure, store the results, and print them."""
    try:
        results = measure()
    except BenchmarkError as error:
        _ERRORS.print(f"The run is void: {error}")
        return 1
    keep(results)
    console = Console(width=max(_WIDTH, Console().width), highlight=False)
    console.print(" · ".join(f"{name} {value}" for name, value in results.about.items()))
    for table in results.tables():
        console.print(table)
    return 0 if all(goal.is_reached for goal in results.goals if goal.binding) else 1


def about(rounds: int) -> Mapping[str, str | int]:
    """Return the date, the versions, the machine and the number of rounds."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "boto3": version("boto3"),
        "powertools": version("aws-lambda-powertools"),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 0,
        "rounds": rounds,
    }


def say(what: str) -> None:
    """Show the progress on a terminal."""
    if _ERRORS.is_terminal:
        _ERRORS.print(what, style="dim")


def warn(what: str) -> None:
    """Print a warning."""
    _ERRORS.print(what)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return number

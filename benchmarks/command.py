"""A whole run: exit code 0 if it is valid, 1 if work was not done or a bound does not hold."""

import argparse
import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from rich.console import Console

from benchmarks import bounds, rounds
from benchmarks.chart import chart
from benchmarks.goals import goals
from benchmarks.processes import BenchmarkError, endpoint
from benchmarks.results import Results
from benchmarks.workloads import LARGEST, QUICK, WORKLOADS

_HERE = Path(__file__).parent
_ERRORS = Console(stderr=True, highlight=False)
_WIDTH = 132
_COLD_STARTS = 9


def main() -> int:
    """Measure, print the tables, and keep the figures and the chart."""
    arguments = _arguments()
    try:
        results = _run(arguments.rounds, quick=arguments.quick)
    except BenchmarkError as error:
        _ERRORS.print(f"The run is void: {error}")
        return 1
    _keep(results, arguments.output)
    console = Console(width=max(_WIDTH, Console().width), highlight=False)
    console.print(" · ".join(f"{name} {value}" for name, value in results.about.items()))
    for table in results.tables():
        console.print(table)
    return 0 if all(goal.is_reached for goal in results.goals if goal.binding) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the function beside the ways in which such a function is usually written.",
    )
    parser.add_argument("--rounds", type=_positive, help="interleaved rounds (default: 7; with --quick: 2)")
    parser.add_argument("--quick", action="store_true", help="two workloads and short samples, to try it out")
    parser.add_argument(
        "--output", type=Path, help="directory for results.json and results.svg (default: here)"
    )
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 7)
    arguments.output = arguments.output or (None if arguments.quick else _HERE)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)  # before a run of minutes, not after it
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _run(times: int, *, quick: bool) -> Results:
    workloads = QUICK if quick else tuple(WORKLOADS)
    with endpoint() as server:
        work = rounds.check(server, workloads, _say)
        timings = rounds.measure(server, workloads, rounds=times, seconds=0.02 if quick else 0.2, say=_say)
        _say("the largest batches")
        peaks = bounds.peaks(server, dict(islice(LARGEST.items(), 1 if quick else None)))
        _say("cold starts")
        cold = bounds.cold_start(server.environment, rounds=times if quick else max(times, _COLD_STARTS))
    reached = goals(timings, work, cold, peaks)
    return Results(_about(times), timings, work, cold, peaks, reached)


def _about(times: int) -> Mapping[str, str | int]:
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "boto3": version("boto3"),
        "powertools": version("aws-lambda-powertools"),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 0,
        "rounds": times,
    }


def _keep(results: Results, directory: Path | None) -> None:
    if directory is None:
        return
    figures = results.as_json()
    (directory / "results.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    (directory / "results.svg").write_text(chart(figures))


def _say(what: str) -> None:
    if _ERRORS.is_terminal:
        _ERRORS.print(f"[dim]{what}[/]")

"""Run all cases of the function, and store the results."""

import json
from functools import partial
from itertools import islice
from pathlib import Path

from benchmarks import bounds, rounds
from benchmarks.chart import chart
from benchmarks.goals import goals
from benchmarks.processes import endpoint
from benchmarks.results import Results
from benchmarks.terminal import about, conduct, options, say
from benchmarks.workloads import LARGEST, QUICK, WORKLOADS

_COLD_STARTS = 9


def main() -> int:
    """Measure, print the tables, and store the figures and the chart."""
    what = "Measure the function, compared with the usual ways to write such a function."
    asked = options("python -m benchmarks", what, rounds=7, quick=2)
    return conduct(
        partial(_run, asked.rounds, quick=asked.quick), keep=partial(_keep, directory=asked.output)
    )


def _run(times: int, *, quick: bool) -> Results:
    workloads = QUICK if quick else tuple(WORKLOADS)
    with endpoint() as server:
        work = rounds.check(server, workloads, say)
        timings = rounds.measure(server, workloads, rounds=times, seconds=0.02 if quick else 0.2, say=say)
        say("the largest batches")
        peaks = bounds.peaks(server, dict(islice(LARGEST.items(), 1 if quick else None)))
        say("a transform")
        transform = bounds.transforming(
            server, WORKLOADS["log-100"], rounds=times, seconds=0.02 if quick else 0.2
        )
        say("cold starts")
        cold = bounds.cold_start(server.environment, rounds=times if quick else max(times, _COLD_STARTS))
    reached = goals(timings, work, cold, transform, peaks)
    return Results(about(times), timings, work, cold, peaks, reached)


def _keep(results: Results, directory: Path | None) -> None:
    if directory is None:
        return
    figures = results.as_json()
    (directory / "results.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    (directory / "results.svg").write_text(chart(figures))

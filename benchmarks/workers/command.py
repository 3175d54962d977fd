"""Measure workers, and store the results."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.operator import engines
from benchmarks.operator.loops import REPLICA, SOURCE
from benchmarks.operator.programs import Program, Run, run
from benchmarks.operator.trials import Service
from benchmarks.processes import BenchmarkError
from benchmarks.terminal import about, conduct, options, say
from benchmarks.workers.figures import COMMAND, WORKER, Compared, Results, Segment
from benchmarks.workers.in_process import by_worker
from benchmarks.workers.overhead import measure_overhead

_TABLES = ("--source", SOURCE, "--replica", REPLICA)
_ALONE = (
    "--segments",
    "1",
    *_TABLES,
    "--without-mapping",
    "--transform",
    "none",
    "--read-rate",
    "1000000",
    "--json",
)
_COMMANDS: Mapping[str, Program] = {
    "backfill": Program("ddbreplica backfill", ("ddbreplica_cli", "backfill", "--rate", "1000000", *_ALONE)),
    "verify": Program("ddbreplica verify", ("ddbreplica_cli", "verify", "--grace", "0", *_ALONE)),
}


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of items: in the one segment of a worker, to copy in rounds, and in a job on the embedded AWS."""

    items: int
    copied: int
    embedded: int


_FULL = Size(items=200_000, copied=20_000, embedded=20_000)
_QUICK = Size(items=600, copied=300, embedded=400)


def main() -> int:
    """Measure, print the tables, and store the figures."""
    what = "Measure workers, compared with the commands that do the same work."
    asked = options("python -m benchmarks.workers", what, rounds=3, quick=1)
    size = _QUICK if asked.quick else _FULL
    return conduct(partial(_run, asked.rounds, size), keep=partial(_keep, directory=asked.output))


def _run(rounds: int, size: Size) -> Results:
    if not engines.is_ready():
        raise BenchmarkError("DynamoDB Local is not installed. Run `make engine` to install it.")
    with engines.dynamodb_local() as url:
        service = Service("DynamoDB Local", url)
        with service.tables(size.copied):
            backfill = compare(service, "backfill", size.copied, rounds)
        # These tables are not deleted, since the service takes minutes for that, and ends with this block.
        service.create_both()
        service.load(size.items)
        copied, result = by_worker(service.environment, "backfill", *_TABLES)
        verify = compare(service, "verify", size.items, rounds)
    overhead = measure_overhead(items=size.embedded, rounds=rounds, say=say)
    segment = Segment(size.items, copied.peak, result["writes"])
    return Results(about(rounds), (verify, backfill), segment, overhead)


def compare(service: Service, what: str, items: int, rounds: int) -> Compared:
    """Run the worker and the command in each round, in turn forwards and backwards."""
    runs: dict[str, list[Run]] = {WORKER: [], COMMAND: []}
    for number in range(rounds):
        for who in (WORKER, COMMAND)[:: -1 if number % 2 else 1]:
            say(f"{service.name}: round {number + 1} of {rounds}, {what}: {who}")
            runs[who].append(
                _copied(service, who, items) if what == "backfill" else _compared(service, who, items)
            )
    return Compared(what, items, runs[WORKER], runs[COMMAND])


def _copied(service: Service, who: str, items: int) -> Run:
    """Copy the source into an empty replica. Raises BenchmarkError if the replica is incomplete afterwards."""
    service.empty_replica()
    took, _ = _done(service, "backfill", who)
    if (copied := service.count(REPLICA)) != items:
        raise BenchmarkError(f"backfill by the {who} left {copied:,} items of {items:,}")
    return took


def _compared(service: Service, who: str, items: int) -> Run:
    """Compare equal tables. Both contestants fail if they find a difference."""
    took, report = _done(service, "verify", who)
    if report and report["source_items"] != items:
        raise BenchmarkError(f"verify by the {who} compared {report['source_items']:,} items of {items:,}")
    return took


def _done(service: Service, what: str, who: str) -> tuple[Run, Mapping[str, Any]]:
    """Return the measurements of a contestant, and the report of a worker."""
    if who == COMMAND:
        return run(_COMMANDS[what], service.environment), {}
    took, result = by_worker(service.environment, what, *_TABLES)
    return took, result["report"]


def _keep(results: Results, directory: Path | None) -> None:
    if directory is not None:
        text = json.dumps(results.as_json(), indent=1, ensure_ascii=False)
        (directory / "workers.json").write_text(text + "\n")

"""Run all cases of the commands, and store the results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.operator import engines
from benchmarks.operator.figures import Runs
from benchmarks.operator.results import Results
from benchmarks.operator.trials import Service, between_tables, largest, loading, repairing, workshop
from benchmarks.operator.units import Units, measure
from benchmarks.processes import BenchmarkError
from benchmarks.terminal import about, conduct, options, say, warn
from demo.embedded import embedded_aws
from demo.errors import EmbeddedAwsError


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of items: to copy, compare and repair, to compare at most, to load, and in the workshop's tables.

    The embedded AWS compares at most `most_embedded` items: it reads the whole table for each page of a scan.
    """

    items: int
    most: int
    most_embedded: int
    rows: int
    workshop: int


_FULL = Size(items=10_000, most=200_000, most_embedded=40_000, rows=4000, workshop=2000)
_QUICK = Size(items=300, most=600, most_embedded=600, rows=100, workshop=100)


def main() -> int:
    """Measure, print the tables, and store the figures."""
    what = "Measure the commands, compared with loops that make the same calls."
    asked = options("python -m benchmarks.operator", what, rounds=5, quick=1)
    size = _QUICK if asked.quick else _FULL
    return conduct(partial(_run, asked.rounds, size), keep=partial(_keep, directory=asked.output))


def _run(rounds: int, size: Size) -> Results:
    runs = {**loading(rows=size.rows, rounds=rounds, say=say), **_on_the_embedded_aws(rounds, size)}
    local, units = _on_dynamodb_local(rounds, size)
    return Results(about(rounds), {**runs, **local}, units)


def _on_the_embedded_aws(rounds: int, size: Size) -> Runs:
    try:
        with embedded_aws() as aws:
            service = Service("the embedded AWS", aws.endpoint_url, aws.credentials)
            return _between_tables(service, rounds, items=size.items, most=size.most_embedded)
    except EmbeddedAwsError as error:
        raise BenchmarkError(str(error)) from error


def _on_dynamodb_local(rounds: int, size: Size) -> tuple[Runs, Sequence[Units]]:
    if not engines.is_ready():
        warn("DynamoDB Local is not installed; its cases are skipped. Run `make engine` to install it.")
        return {}, ()
    with engines.dynamodb_local() as url:
        service = Service("DynamoDB Local", url)
        runs = {
            **_between_tables(service, rounds, items=size.items, most=size.most),
            **repairing(service, items=size.items, rounds=rounds, say=say),
            **workshop(service, items=size.workshop, say=say),
        }
        return runs, tuple(measure(service, items=size.items, say=say))


def _between_tables(service: Service, rounds: int, *, items: int, most: int) -> Runs:
    # The most items first, since a Java engine is slow until it is warm.
    copied = largest(service, items=most, rounds=rounds, say=say)
    return {**between_tables(service, items=items, rounds=rounds, say=say), **copied}


def _keep(results: Results, directory: Path | None) -> None:
    if directory is not None:
        text = json.dumps(results.as_json(), indent=1, ensure_ascii=False)
        (directory / "operator.json").write_text(text + "\n")

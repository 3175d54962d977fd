"""Measure the memory for the largest batches, the cold start, and a transform."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.figures import Spread, spread
from benchmarks.processes import BenchmarkError, Endpoint, Sample, worker
from benchmarks.rounds import apply_once
from benchmarks.server import Reset
from benchmarks.workloads import Item, Workload

_OURS = "from ddbreplica import handler; handler.replicator()"
_BARE = "import boto3; boto3.client('dynamodb')"
_FOUR_RULES = {
    "hash": ["useragent"],
    "concat": {"by_host": ["host#", {"attribute": "host"}, "#", {"attribute": "hourofday"}]},
    "drop": ["url"],
    "rename": {"method": "verb"},
}
_SECRET = {
    "TRANSFORM_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:benchmark-AbCdEf",
    "TRANSFORM_SECRET_VERSION": "0" * 32,
}


@dataclass(frozen=True, slots=True)
class ColdStart:
    """CPU seconds of a whole process: one that prepares the function, and one that only creates a boto3 client."""

    ours: Spread
    bare: Spread
    ratio: Spread


def peaks(endpoint: Endpoint, largest: Mapping[str, Workload]) -> dict[str, int]:
    """Return the peak memory, in bytes, of a process that applies each of these batches. Raises BenchmarkError."""
    found = {}
    for title, workload in largest.items():
        sample, counts = apply_once(endpoint, "ours", workload)
        if counts.table != workload.ends_in():
            raise BenchmarkError(f"ddbreplica did not write the changes of the batch: {title}")
        found[title] = sample.peak
    return found


def transforming(endpoint: Endpoint, workload: Workload, *, rounds: int, seconds: float) -> Spread:
    """Return the CPU time of the function with a transform of four rules ÷ without one, measured in turn.

    Raises BenchmarkError if the items were not transformed.
    """
    here = endpoint.environment
    rules = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": here["AWS_ENDPOINT_URL_DYNAMODB"], **_SECRET}
    rules["TRANSFORM"] = json.dumps(_FOUR_RULES)
    with worker("ours", here) as plain, worker("ours", {**here, **rules}) as other:
        plain.run(workload, seconds=0)
        endpoint.reset(Reset(0, keep=True))
        other.run(workload, seconds=0)
        _expect_transformed(endpoint.reset(Reset(0)).table, workload)
        pairs = [[each.run(workload, seconds=seconds) for each in (other, plain)] for _ in range(rounds)]
    return spread([_each(one) / _each(two) for one, two in pairs])


def _each(sample: Sample) -> float:
    return sample.cpu / sample.batches


def _expect_transformed(table: Mapping[str, Item | None], workload: Workload) -> None:
    for key, source in workload.ends_in().items():
        written = table.get(key) or {}
        is_moved = source is not None and written.get("verb") == source["method"] and "url" not in written
        if not is_moved or len(written["useragent"]["S"]) != 64 or "by_host" not in written:
            raise BenchmarkError(f"ddbreplica did not transform {key}")


def cold_start(environment: Mapping[str, str], *, rounds: int) -> ColdStart:
    """Start both in turn. The first start of each is discarded, since it may compile modules."""
    pairs = [(_started(_OURS, environment), _started(_BARE, environment)) for _ in range(rounds + 1)][1:]
    ours, bare = zip(*pairs, strict=True)
    return ColdStart(spread(ours), spread(bare), spread([one / other for one, other in pairs]))


def _started(code: str, environment: Mapping[str, str]) -> float:
    before = _cpu_of_children()
    # Bytecode is kept, whatever the shell says. Otherwise this would measure the compiler and the size of packages.
    env = {**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)  # noqa: S603  our own
    return _cpu_of_children() - before


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

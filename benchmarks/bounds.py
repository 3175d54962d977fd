"""Measure the memory for the largest batches, and the cold start."""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.figures import Spread, spread
from benchmarks.processes import BenchmarkError, Endpoint
from benchmarks.rounds import apply_once
from benchmarks.workloads import Workload

_OURS = "from ddbreplica import handler; handler.replicator()"
_BARE = "import boto3; boto3.client('dynamodb')"


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

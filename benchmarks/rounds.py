"""Check the work of each contestant, and measure all contestants in alternating rounds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from typing import Any, TypeAlias

from benchmarks.contestants import CONTESTANTS
from benchmarks.figures import Case, Timings, Work
from benchmarks.processes import BenchmarkError, Endpoint, Sample, Worker, worker
from benchmarks.server import Counts, Reset
from benchmarks.workloads import WORKLOADS, Item, Workload
from ddbreplica.records import compare

SERVICE_TIMES = (0, 4)
"""Milliseconds: 0 shows only the work; 4 is the time of a DynamoDB write in the same Region."""

Say: TypeAlias = Callable[[str], object]


def check(endpoint: Endpoint, workloads: Sequence[str], say: Say) -> dict[tuple[str, str], Work]:
    """Return the work of each contestant for a batch of each workload, in a new process.

    Raises BenchmarkError if a contestant did not write the batch, except for its known errors.
    """
    work = {}
    for workload, contestant in product(workloads, CONTESTANTS):
        say(f"checking {WORKLOADS[workload].title}: {CONTESTANTS[contestant].title}")
        work[contestant, workload] = checked(endpoint, contestant, workload)
    return work


def apply_once(endpoint: Endpoint, contestant: str, workload: Workload) -> tuple[Sample, Counts]:
    """Apply one batch in a process of its own; return the sample and the resulting content."""
    endpoint.reset(Reset(0, keep=True))
    with worker(contestant, endpoint.environment) as fresh:
        sample = fresh.run(workload, seconds=0)
    return sample, endpoint.reset(Reset(0))


def measure(
    endpoint: Endpoint, workloads: Sequence[str], *, rounds: int, seconds: float, say: Say
) -> Timings:
    """Return samples of `seconds` or one batch. Each round measures all contestants in turn; warm-up is discarded.

    Raises BenchmarkError if a contestant did not write its batches.
    """
    timings: dict[Case, list[Sample]] = {}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(worker(name, endpoint.environment)) for name in CONTESTANTS}
        say("warming up")
        for workload, contestant in product(workloads, workers.values()):
            contestant.run(WORKLOADS[workload], seconds=0)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for case in _cases(workloads, backwards=bool(number % 2)):
                sample = _sampled(endpoint, workers[case.contestant], case, seconds)
                timings.setdefault(case, []).append(sample)
    return timings


def _cases(workloads: Sequence[str], *, backwards: bool) -> Iterator[Case]:
    # Every other round has the reverse order, so that no contestant always follows the same one.
    names = tuple(CONTESTANTS)[:: -1 if backwards else 1]
    for service_time, workload, contestant in product(SERVICE_TIMES, workloads, names):
        yield Case(contestant, workload, service_time)


def _sampled(endpoint: Endpoint, contestant: Worker, case: Case, seconds: float) -> Sample:
    endpoint.reset(Reset(case.service_time / 1000))
    sample = contestant.run(WORKLOADS[case.workload], seconds=seconds)
    _expect_writes(case.contestant, case.workload, endpoint.reset(Reset(0)), batches=sample.batches)
    return sample


def checked(endpoint: Endpoint, contestant: str, workload: str) -> Work:
    """Measure one contestant."""
    sample, counts = apply_once(endpoint, contestant, WORKLOADS[workload])
    _expect_writes(contestant, workload, counts, batches=1)
    exact = is_exact(counts, WORKLOADS[workload])
    if not exact and workload not in CONTESTANTS[contestant].wrong:
        raise BenchmarkError(
            f"{contestant} did not write the changes of the batch: {WORKLOADS[workload].title}"
        )
    saved = WORKLOADS[workload].records - counts.items
    return Work(counts.requests, counts.items, saved, exact, sample.peak)


def is_exact(counts: Counts, workload: Workload) -> bool:
    """Return whether the content is that of the batch, item by item."""
    return _canonical(counts.table) == _canonical(workload.ends_in())


def _expect_writes(contestant: str, workload: str, counts: Counts, *, batches: int) -> None:
    of = WORKLOADS[workload]
    expected = batches * (of.keys if CONTESTANTS[contestant].coalesces else of.records)
    if counts.items != expected:
        what = f"{counts.items} items instead of {expected}"
        raise BenchmarkError(f"{contestant} wrote {what}: {of.title}")


def _canonical(table: Mapping[str, Item | None]) -> Mapping[str, Any]:
    return {key: compare.canonical(item) for key, item in table.items()}

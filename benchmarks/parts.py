"""`python -m benchmarks.parts`: measure the CPU time of each part of a batch, of the floor, and of the whole.

Each part runs alone. The parts do not add up to the whole, since caches are warmer and nothing waits.
"""

import os
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from rich.console import Console
from rich.table import Table

from benchmarks.processes import endpoint
from benchmarks.workloads import WORKLOADS
from ddbreplica.aws.botocore_private import unsigned
from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.send import IN_FLIGHT

_ROUNDS = 9
_SECONDS = 0.2
_WORKLOADS = ("log-100", "log-1000")


def main() -> None:
    """Measure the parts for batches of 100 and 1,000 records, without service time, and print a table."""
    # Log lines and metrics are written but not read. The logger keeps the stdout that it starts with.
    console, sys.stdout = Console(file=sys.stdout, highlight=False), Path(os.devnull).open("w")  # noqa: SIM115
    table = Table("CPU µs per record, median", title="Where the CPU goes")
    table.columns[0].no_wrap = True
    figures = []
    with endpoint() as server:
        os.environ.update(server.environment)
        for workload in _WORKLOADS:
            table.add_column(WORKLOADS[workload].title, justify="right")
            figures.append(_timed(_parts(WORKLOADS[workload].event())))
    for part in figures[0]:
        table.add_row(
            part, *(f"{figure[part] / size:.1f}" for figure, size in zip(figures, (100, 1000), strict=True))
        )
    console.print(table)


def _parts(event: Any) -> Mapping[str, Callable[[], object]]:
    # Imported here, since the contestants read the environment when they are imported.
    from benchmarks.contestants import floor, ours  # noqa: PLC0415
    from ddbreplica.bucket.quarantine import QuarantineResult  # noqa: PLC0415
    from ddbreplica.dynamodb.send import send  # noqa: PLC0415
    from ddbreplica.handler import replicator  # noqa: PLC0415
    from ddbreplica.records.decode import decode  # noqa: PLC0415
    from ddbreplica.records.plan import plan  # noqa: PLC0415
    from ddbreplica.replicate.write import Outcome  # noqa: PLC0415

    whole = ours.prepare(event)
    whole()
    container: Any = replicator()
    deadline = Deadline(lambda: 60.0)
    decoded = decode(event, replicate_ttl_deletes=True)
    writes = plan(decoded.changes)
    done = (decoded, Outcome(applied=writes), QuarantineResult(0, 0, ()))
    requests = _requests(container.replica, whole)
    return {
        "floor: ready requests signed and sent, four threads": floor.prepare(event),
        "ddbreplica, all of it": whole,
        "  decode: every record read and checked": lambda: decode(event, replicate_ttl_deletes=True),
        "  plan: one write a key, its image as text": lambda: plan(decoded.changes),
        "  send: all requests out and in": lambda: send(writes, replica=container.replica, deadline=deadline),
        "    of it botocore's signer": lambda: _sign(container.replica, requests),
        "    of it sockets and HTTP": lambda: _exchange(container.replica, requests),
        "  telemetry: a log line, the metrics": lambda: container.telemetry.publish(
            *done, ended_at=time.time(), reported=None, request_id="a request"
        ),
    }


def _requests(replica: Any, whole: Callable[[], object]) -> Sequence[AWSPreparedRequest]:
    """Return the requests of one batch, as they are sent."""
    seen: list[AWSPreparedRequest] = []

    def note(request: AWSPreparedRequest, **_: Any) -> None:
        seen.append(request)

    replica._client.meta.events.register("before-send.dynamodb.BatchWriteItem", note)  # noqa: SLF001
    whole()
    replica._client.meta.events.unregister("before-send.dynamodb.BatchWriteItem", note)  # noqa: SLF001
    return seen


def _sign(replica: Any, requests: Sequence[AWSPreparedRequest]) -> None:
    for sent in requests:
        context = replica._route.context  # noqa: SLF001
        request = unsigned(sent.url, headers={"X-Amz-Target": "x"}, body=sent.body, context=context)
        replica._parts.sign("BatchWriteItem", request)  # noqa: SLF001


def _exchange(replica: Any, requests: Sequence[AWSPreparedRequest]) -> None:
    under_way: deque[Callable[[], object]] = deque()
    for request in requests:
        if len(under_way) == IN_FLIGHT:
            under_way.popleft()()
        under_way.append(replica._route.transport.start(request))  # noqa: SLF001
    for wait in under_way:
        wait()


def _timed(parts: Mapping[str, Callable[[], object]]) -> Mapping[str, float]:
    """Return the CPU microseconds of each part; each round measures the parts in turn."""
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(_ROUNDS):
        for name, part in parts.items():
            taken[name].append(_once(part) * 1e6)
    return {name: statistics.median(values) for name, values in taken.items()}


def _once(part: Callable[[], object]) -> float:
    times = 0
    cpu, wall = time.process_time(), time.perf_counter()
    while times == 0 or time.perf_counter() - wall < _SECONDS:
        part()
        times += 1
    return (time.process_time() - cpu) / times


if __name__ == "__main__":
    main()
